-- How many activities run is told without reading those that wait.
create index activity_started on activity_task (category) where state = 'started';
