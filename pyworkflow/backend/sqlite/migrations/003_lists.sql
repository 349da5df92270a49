-- Pages of a list are found in time proportional to the page, however many processes there are.
create index process_ended on process (status, key) where status <> 'open';
create index process_workflow_status on process (workflow, status, key);
create index decision_parked on decision_task (key) where state = 'parked';
