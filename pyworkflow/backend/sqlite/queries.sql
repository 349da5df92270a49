-- Every statement of the store. Writers hold the write lock of the whole file (BEGIN IMMEDIATE) while they run any of these.

-- name: get_meta
select value from meta where name = ?;
-- name: set_meta
insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value;

-- name: get_workflow
select body from workflow_type where name = ?;
-- name: set_workflow
insert into workflow_type (name, body) values (?, ?) on conflict (name) do update set body = excluded.body;
-- name: workflows
select name, body from workflow_type order by name;
-- name: activity_types
select name, body from activity_type order by name;
-- name: get_activity_type
select body from activity_type where name = ?;
-- name: set_activity_type
insert into activity_type (name, body) values (?, ?) on conflict (name) do update set body = excluded.body;

-- name: define
insert into definition (kind, name, body, defined) values (?, ?, ?, ?) returning revision;
-- name: definitions
select revision, kind, name, body, defined from definition where revision > ? order by revision;

-- name: process_by_key
select key, id, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout, handles_cancel, fingerprint,
       started, deadline, status, closed, result, last_seq, seen_seq, digest, time, failures, opened, origin
from process where key = ?;
-- name: process_by_id
select key, id, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout, handles_cancel, fingerprint,
       started, deadline, status, closed, result, last_seq, seen_seq, digest, time, failures, opened, origin
from process where id = ? order by run desc limit 1;
-- name: process_by_run
select key, id, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout, handles_cancel, fingerprint,
       started, deadline, status, closed, result, last_seq, seen_seq, digest, time, failures, opened, origin
from process where id = ? and run = ?;
-- name: process_due
select key, id, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout, handles_cancel, fingerprint,
       started, deadline, status, closed, result, last_seq, seen_seq, digest, time, failures, opened, origin
from process where status = 'open' and deadline <= ? order by deadline limit ?;
-- Keys of processes, each pair of statements by another index, the oldest or the newest first.
-- name: keys_any_up
select key from process
where key > :after
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key limit :limit;
-- name: keys_any_down
select key from process
where key < :after
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key desc limit :limit;
-- name: keys_open_up
select key from process
where key > :after
  and status = 'open'
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key limit :limit;
-- name: keys_open_down
select key from process
where key < :after
  and status = 'open'
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key desc limit :limit;
-- name: keys_ended_up
select key from process
where key > :after
  and status = :status and status <> 'open'
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key limit :limit;
-- name: keys_ended_down
select key from process
where key < :after
  and status = :status and status <> 'open'
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key desc limit :limit;
-- name: keys_workflow_up
select key from process
where key > :after
  and workflow = :workflow
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key limit :limit;
-- name: keys_workflow_down
select key from process
where key < :after
  and workflow = :workflow
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key desc limit :limit;
-- name: keys_workflow_status_up
select key from process
where key > :after
  and workflow = :workflow and status = :status
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key limit :limit;
-- name: keys_workflow_status_down
select key from process
where key < :after
  and workflow = :workflow and status = :status
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by key desc limit :limit;
-- name: keys_tag_up
select process_tag.key from process_tag join process using (key)
where process_tag.key > :after
  and process_tag.tag = :tag
  and (:workflow is null or workflow = :workflow)
  and (:status is null or status = :status)
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by process_tag.key limit :limit;
-- name: keys_tag_down
select process_tag.key from process_tag join process using (key)
where process_tag.key < :after
  and process_tag.tag = :tag
  and (:workflow is null or workflow = :workflow)
  and (:status is null or status = :status)
  and (:parked is null or :parked = exists (select 1 from decision_task d where d.key = process.key and d.state = 'parked'))
order by process_tag.key desc limit :limit;
-- name: keys_parked_up
select decision_task.key from decision_task join process using (key)
where decision_task.key > :after
  and decision_task.state = 'parked'
  and (:workflow is null or workflow = :workflow)
  and (:status is null or status = :status)
  and (:tag is null or exists (select 1 from process_tag t where t.tag = :tag and t.key = process.key))
order by decision_task.key limit :limit;
-- name: keys_parked_down
select decision_task.key from decision_task join process using (key)
where decision_task.key < :after
  and decision_task.state = 'parked'
  and (:workflow is null or workflow = :workflow)
  and (:status is null or status = :status)
  and (:tag is null or exists (select 1 from process_tag t where t.tag = :tag and t.key = process.key))
order by decision_task.key desc limit :limit;
-- name: add_process
insert into process (key, id, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout, handles_cancel,
       fingerprint, started, deadline, status, closed, result, last_seq, seen_seq, digest, time, failures, opened, origin)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
-- name: set_process
update process set parent_key = ?, parent_id = ?, status = ?, closed = ?, result = ?, last_seq = ?, seen_seq = ?, digest = ?,
       time = ?, failures = ?, opened = ?
where key = ?;
-- name: step_process
update process set last_seq = ?, seen_seq = ?, digest = ?, time = ?, failures = ?, opened = ? where key = ?;
-- name: add_input
insert into process_input (key, body) values (?, ?);
-- name: get_input
select key, body from process_input where key = ?;
-- name: add_tag
insert or ignore into process_tag (tag, key) values (?, ?);

-- name: add_event
insert into event (key, first_seq, body) values (?, ?, ?);
-- name: events_since
select key, first_seq, body from event
where key = :key and first_seq >= coalesce(
    (select first_seq from event where key = :key and first_seq <= :next order by first_seq desc limit 1), 0)
order by first_seq;
-- name: event_with_text
select 1 from event where key = ? and instr(body, ?) > 0 limit 1;
-- name: feed
select cursor, id, run, workflow, parent_id, first_seq, body
from event join process on process.key = event.key
where cursor > ? order by cursor limit ?;
-- name: feed_end
select cursor, id, run, workflow, parent_id, first_seq, body
from event join process on process.key = event.key order by cursor desc limit 1;

-- name: get_decision
select key, name, category, ready, state, token, deadline, lease_limit, started_seq, pending, identity, reason, suspect, lost, waits
from decision_task where key = ?;
-- name: decisions_ready
select key, name, category, ready, state, token, deadline, lease_limit, started_seq, pending, identity, reason, suspect, lost, waits
from decision_task where state = 'scheduled' and not suspect and category = ? and name = ? and ready <= ? order by ready, key limit ?;
-- name: decisions_ready_since
-- For each name, since when its oldest task is ready, or will be.
select value, (select min(ready) from decision_task where state = 'scheduled' and not suspect and category = :category and name = value)
from json_each(:names);
-- name: decisions_names
-- Goes from name to name of the index that claims use.
with recursive waiting (name) as (
    select min(name) from decision_task where state = 'scheduled' and category = :category
    union all
    select (select min(t.name) from decision_task t where t.state = 'scheduled' and t.category = :category and t.name > waiting.name)
    from waiting where name is not null)
select name from waiting where name is not null;
-- name: suspect_decisions_ready
select key, name, category, ready, state, token, deadline, lease_limit, started_seq, pending, identity, reason, suspect, lost, waits
from decision_task where state = 'scheduled' and suspect and category = ? and name = ? and ready <= ? order by ready, key limit ?;
-- name: suspect_decisions_ready_since
select value, (select min(ready) from decision_task where state = 'scheduled' and suspect and category = :category and name = value)
from json_each(:names);
-- name: suspect_decisions_names
with recursive waiting (name) as (
    select min(name) from decision_task where state = 'scheduled' and suspect and category = :category
    union all
    select (select min(t.name) from decision_task t where t.state = 'scheduled' and t.suspect and t.category = :category and t.name > waiting.name)
    from waiting where name is not null)
select name from waiting where name is not null;
-- name: decisions_due
select key, name, category, ready, state, token, deadline, lease_limit, started_seq, pending, identity, reason, suspect, lost, waits
from decision_task where state = 'started' and deadline <= ? order by deadline limit ?;
-- name: put_decision
insert or replace into decision_task (key, name, category, ready, state, token, deadline, lease_limit, started_seq, pending, identity, reason,
       suspect, lost, waits)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
-- name: drop_decision
delete from decision_task where key = ?;

-- name: get_activity
select number, key, id, name, category, input, scheduled_timeout, execution_timeout, heartbeat_timeout, retry, at_most_once,
       ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity, details, cancel_requested, suspect
from activity_task where number = ?;
-- name: activity_by_id
select number, key, id, name, category, input, scheduled_timeout, execution_timeout, heartbeat_timeout, retry, at_most_once,
       ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity, details, cancel_requested, suspect
from activity_task where key = ? and id = ?;
-- name: activities_of
select number, key, id, name, category, input, scheduled_timeout, execution_timeout, heartbeat_timeout, retry, at_most_once,
       ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity, details, cancel_requested, suspect
from activity_task where key = ?;
-- name: activities_ready
select number, key, id, name, category, input, scheduled_timeout, execution_timeout, heartbeat_timeout, retry, at_most_once,
       ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity, details, cancel_requested, suspect
from activity_task where state = 'scheduled' and not suspect and category = ? and name = ? and ready <= ? order by ready, number limit ?;
-- name: activities_ready_since
-- For each name, since when its oldest task is ready, or will be.
select value, (select min(ready) from activity_task where state = 'scheduled' and not suspect and category = :category and name = value)
from json_each(:names);
-- name: activities_names
-- Goes from name to name of the index that claims use.
with recursive waiting (name) as (
    select min(name) from activity_task where state = 'scheduled' and category = :category
    union all
    select (select min(t.name) from activity_task t where t.state = 'scheduled' and t.category = :category and t.name > waiting.name)
    from waiting where name is not null)
select name from waiting where name is not null;
-- name: suspect_activities_ready
select number, key, id, name, category, input, scheduled_timeout, execution_timeout, heartbeat_timeout, retry, at_most_once,
       ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity, details, cancel_requested, suspect
from activity_task where state = 'scheduled' and suspect and category = ? and name = ? and ready <= ? order by ready, number limit ?;
-- name: suspect_activities_ready_since
select value, (select min(ready) from activity_task where state = 'scheduled' and suspect and category = :category and name = value)
from json_each(:names);
-- name: suspect_activities_names
with recursive waiting (name) as (
    select min(name) from activity_task where state = 'scheduled' and suspect and category = :category
    union all
    select (select min(t.name) from activity_task t where t.state = 'scheduled' and t.suspect and t.category = :category and t.name > waiting.name)
    from waiting where name is not null)
select name from waiting where name is not null;
-- name: activities_due
select number, key, id, name, category, input, scheduled_timeout, execution_timeout, heartbeat_timeout, retry, at_most_once,
       ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity, details, cancel_requested, suspect
from activity_task where deadline <= ? order by deadline limit ?;
-- name: add_activity
insert into activity_task (number, key, id, name, category, input, scheduled_timeout, execution_timeout, heartbeat_timeout, retry,
       at_most_once, ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity, details, cancel_requested,
       suspect)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
-- name: set_activity
update activity_task set ready = ?, since = ?, state = ?, token = ?, deadline = ?, heartbeat = ?, lease = ?, attempt = ?, lost = ?, failed = ?,
       identity = ?, details = ?, cancel_requested = ?, suspect = ?
where number = ?;
-- name: drop_activity
delete from activity_task where number = ?;

-- name: get_timer
select key, id, delay, data, since, deadline from timer where key = ? and id = ?;
-- name: timers_of
select key, id, delay, data, since, deadline from timer where key = ?;
-- name: timers_due
select key, id, delay, data, since, deadline from timer where deadline <= ? order by deadline limit ?;
-- name: put_timer
insert or replace into timer (key, id, delay, data, since, deadline) values (?, ?, ?, ?, ?, ?);
-- name: drop_timer
delete from timer where key = ? and id = ?;

-- name: get_child
select key, id, child_key, workflow, policy, since from child where key = ? and id = ?;
-- name: children_of
select key, id, child_key, workflow, policy, since from child where key = ?;
-- name: put_child
insert or replace into child (key, id, child_key, workflow, policy, since) values (?, ?, ?, ?, ?, ?);
-- name: drop_child
delete from child where key = ? and id = ?;

-- name: get_signal
select 1 from signal_receipt where origin = ? and id = ?;
-- name: add_signal
insert or ignore into signal_receipt (key, id, origin) values (?, ?, ?);
-- name: signals_of
select id from signal_receipt where key = ? order by id;

-- name: next_due
select min(
    coalesce((select min(deadline) from process where status = 'open'), 4611686018427387904),
    coalesce((select min(deadline) from decision_task where state = 'started'), 4611686018427387904),
    coalesce((select min(deadline) from activity_task), 4611686018427387904),
    coalesce((select min(deadline) from timer), 4611686018427387904));

-- name: saw
insert or replace into poller (kind, category, identity, seen, names) values (?, ?, ?, ?, ?);
-- name: pollers
select identity, kind, category, seen, names from poller where seen >= ? order by identity, kind, category;
-- name: forget_pollers
delete from poller where seen < ?;
-- Goes from name to name of the claims' own indexes, and counts no further than :most in any.
-- name: queue_depths
with recursive
deciding (category) as (
    select min(category) from decision_task where state = 'scheduled'
    union all
    select (select min(t.category) from decision_task t where t.state = 'scheduled' and t.category > deciding.category)
    from deciding where category is not null),
decision (category, name) as (
    select category, (select min(t.name) from decision_task t where t.state = 'scheduled' and t.category = deciding.category)
    from deciding where category is not null
    union all
    select category, (select min(t.name) from decision_task t
                      where t.state = 'scheduled' and t.category = decision.category and t.name > decision.name)
    from decision where name is not null),
acting (category) as (
    select min(category) from activity_task where state = 'scheduled'
    union all
    select (select min(t.category) from activity_task t where t.state = 'scheduled' and t.category > acting.category)
    from acting where category is not null),
activity (category, name) as (
    select category, (select min(t.name) from activity_task t where t.state = 'scheduled' and t.category = acting.category)
    from acting where category is not null
    union all
    select category, (select min(t.name) from activity_task t
                      where t.state = 'scheduled' and t.category = activity.category and t.name > activity.name)
    from activity where name is not null)
select 'decision' as kind, category, name,
       (select count(*) from (select 1 from decision_task t
         where t.state = 'scheduled' and t.category = decision.category and t.name = decision.name and t.ready <= :now limit :most)) as waiting,
       (select count(*) from (select 1 from decision_task t
         where t.state = 'scheduled' and t.category = decision.category and t.name = decision.name and t.ready > :now limit :most)) as delayed,
       0 as running,
       (select min(t.ready) from decision_task t
         where t.state = 'scheduled' and t.category = decision.category and t.name = decision.name and t.ready <= :now) as oldest
from decision where name is not null
union all
select 'activity' as kind, category, name,
       (select count(*) from (select 1 from activity_task t
         where t.state = 'scheduled' and t.category = activity.category and t.name = activity.name and t.ready <= :now limit :most)) as waiting,
       (select count(*) from (select 1 from activity_task t
         where t.state = 'scheduled' and t.category = activity.category and t.name = activity.name and t.ready > :now limit :most)) as delayed,
       0 as running,
       (select min(t.ready) from activity_task t
         where t.state = 'scheduled' and t.category = activity.category and t.name = activity.name and t.ready <= :now) as oldest
from activity where name is not null
union all
select 'decision', category, null, 0, 0, count(*), null
from (select category from decision_task where state = 'started' limit :most) t group by category
union all
select 'activity', category, null, 0, 0, count(*), null
from (select category from activity_task where state = 'started' limit :most) t group by category;

-- name: keys
select key from process order by key;
-- name: count_processes
select count(*) from process;
-- name: keys_closed_before
select key from process where closed is not null and closed < ? order by closed limit ?;
-- name: purge_events
delete from event where key = ? returning cursor;
-- name: purge_input
delete from process_input where key = ?;
-- name: purge_tags
delete from process_tag where tag = ? and key = ?;
-- name: purge_signals
delete from signal_receipt where key = ?;
-- name: purge_process
delete from process where key = ?;
-- name: counters
-- The numbers that were given last, and the largest in use.
select 'last_key', (select value from meta where name = 'last_key'), coalesce((select max(key) from process), 0)
union all
select 'last_number', (select value from meta where name = 'last_number'), coalesce((select max(number) from activity_task), 0);
-- name: orphans
select 'event', key from event where key not in (select key from process)
union all select 'decision_task', key from decision_task where key not in (select key from process)
union all select 'activity_task', key from activity_task where key not in (select key from process)
union all select 'timer', key from timer where key not in (select key from process)
union all select 'child', key from child where key not in (select key from process)
union all select 'process_input', key from process_input where key not in (select key from process)
union all select 'process_tag', key from process_tag where key not in (select key from process)
union all select 'signal_receipt', key from signal_receipt where key not in (select key from process);
