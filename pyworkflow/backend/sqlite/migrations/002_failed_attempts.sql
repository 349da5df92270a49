-- Attempts that failed by themselves; `attempt` counts those that lost their worker too.
alter table activity_task add column failed integer not null default 0;
