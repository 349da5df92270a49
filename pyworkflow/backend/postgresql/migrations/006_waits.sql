-- How often a decision was put off until a deployment brings what it needs.
alter table {schema}.decision_task add column waits integer not null default 0;
