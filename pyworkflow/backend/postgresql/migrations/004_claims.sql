-- A worker claims tasks of the workflows and activities that it has: the oldest of each name is found without reading any other.
alter table {schema}.decision_task add column name text;
update {schema}.decision_task d set name = coalesce((select p.workflow from {schema}.process p where p.key = d.key), '');
alter table {schema}.decision_task alter column name set not null;
drop index {schema}.decision_ready;
drop index {schema}.activity_ready;
create index decision_claim on {schema}.decision_task (domain, category, name, ready, key) where state = 'scheduled';
create index activity_claim on {schema}.activity_task (domain, category, name, ready, number) where state = 'scheduled';
