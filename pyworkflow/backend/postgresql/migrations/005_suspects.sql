-- A task whose last holder was lost is a suspect, and handed out alone. `lost` counts holders that had nothing else.
alter table {schema}.decision_task add column suspect boolean not null default false;
alter table {schema}.decision_task add column lost integer not null default 0;
alter table {schema}.activity_task add column suspect boolean not null default false;

create index decision_suspect on {schema}.decision_task (domain, category, ready, key) where state = 'scheduled' and suspect;
create index activity_suspect on {schema}.activity_task (domain, category, ready, number) where state = 'scheduled' and suspect;
