-- A task whose last holder was lost is a suspect, and handed out alone. `lost` counts holders that had nothing else.
alter table decision_task add column suspect integer not null default 0;
alter table decision_task add column lost integer not null default 0;
alter table activity_task add column suspect integer not null default 0;

create index decision_suspect on decision_task (category, name, ready, key) where state = 'scheduled' and suspect;
create index activity_suspect on activity_task (category, name, ready, number) where state = 'scheduled' and suspect;
