-- A worker claims tasks of the workflows and activities that it has: the oldest of each name is found without reading any other.
alter table decision_task add column name text not null default '';
update decision_task set name = coalesce((select workflow from process where process.key = decision_task.key), '');
drop index decision_ready;
drop index activity_ready;
create index decision_claim on decision_task (category, name, ready, key) where state = 'scheduled';
create index activity_claim on activity_task (category, name, ready, number) where state = 'scheduled';
