-- Rights of a worker and of a reader, for the owner of the schema to grant with psql, once the roles are there:
--     create role shop_worker login; create role shop_reader login;
--     psql -v schema=pyworkflow -v worker=shop_worker -v reader=shop_reader -f roles.sql
-- The owner is whoever opened the backend first: it made the tables, and migrates them. Run this again after an upgrade.

-- A worker runs workers, starts, signals, and purges; it makes and changes no table.
grant usage on schema :schema to :worker;
grant select, insert, update, delete on all tables in schema :schema to :worker;
grant usage on all sequences in schema :schema to :worker;

-- A reader lists, shows, checks and follows the feed.
grant usage on schema :schema to :reader;
grant select on all tables in schema :schema to :reader;
