-- Places in the feed for events of transactions that are older than the events before theirs.
create sequence {schema}.late_event;
-- What tells this schema from one of the same name in another database.
insert into {schema}.meta (name, value) values ('identity', (random() * 9223372036854775000)::bigint) on conflict do nothing;
