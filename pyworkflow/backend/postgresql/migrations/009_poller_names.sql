-- What each poller can do, as a JSON array; null for all.
alter table {schema}.poller add column names text;
