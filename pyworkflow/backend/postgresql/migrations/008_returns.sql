-- Which run of the server has written last, so that the first transaction of the next one makes up for the time between.
insert into {schema}.meta (name, value) values ('server_run', 0) on conflict do nothing;
