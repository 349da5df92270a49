-- How many activities run is told without reading those that wait.
create index activity_started on {schema}.activity_task (domain, category) where state = 'started';
