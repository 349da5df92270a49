-- Every statement of the store. Each change to a process, and to whatever belongs to it, is made under a lock of its row in `process`.
-- A transaction waits for locks once, in the order of the keys (`lock_processes`); all later ones are taken without waiting: by
-- `nowait`, after which the transaction begins anew with a longer list, or by `skip locked`. So no two can wait for each other.

-- name: begin_write
begin isolation level read committed;
-- name: begin_read
begin isolation level repeatable read read only;
-- name: commit
commit;
-- name: rollback
rollback;
-- name: prologue
-- Settings of this transaction only, so that a connection may come from a pooler. A program that is stopped in the middle must not keep its
-- locks for ever, and nobody waits for ever for those of another.
-- And the statements of a transaction are made for their indexes: that need not be weighed anew each time.
select set_config('lock_timeout', '15s', true), set_config('idle_in_transaction_session_timeout', '10s', true),
       set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),
       {server_time}, (select value from {schema}.meta where name = 'types'),
       ({server_run}) = (select value from {schema}.meta where name = 'server_run');
-- name: server_run
-- A part of other statements: changes when the server was started, has recovered from a crash, or was promoted.
case when pg_is_in_recovery() then 0
     else (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint
          + coalesce((select extract(epoch from stats_reset) * 1000000 from pg_stat_bgwriter), 0)::bigint
          + ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint end
-- name: server_returned
-- Nobody could report while the server was away: whatever was to end by then ends at `hold`. In all domains, and once a run.
with run as (
    update {schema}.meta set value = {server_run} where name = 'server_run' and value <> {server_run} returning %(hold)s::bigint as hold),
activities as (
    update {schema}.activity_task a
    set since = greatest(a.since, run.hold - a.execution_timeout), heartbeat = greatest(a.heartbeat, run.hold - a.heartbeat_timeout),
        lease = case when a.lease is not null then greatest(a.lease, run.hold) end,
        deadline = least(greatest(a.since + a.execution_timeout, run.hold), greatest(a.heartbeat + a.heartbeat_timeout, run.hold),
                         case when a.lease is not null then greatest(a.lease, run.hold) end)
    from run, {schema}.domain o where a.domain = o.number and a.state = 'started' and a.deadline < run.hold)
update {schema}.decision_task d set deadline = run.hold, lease_limit = greatest(d.lease_limit, run.hold)
from run, {schema}.domain o where d.domain = o.number and d.state = 'started' and d.deadline < run.hold;
-- name: clock
select {server_time}, (select value from {schema}.meta where name = 'types');
-- name: whereabouts
-- Begins the caller's transaction, and fails nowhere.
select {server_time}, current_database(), to_regclass('{schema}.meta') is not null;
-- name: store
-- The version of the types, and what tells this schema from that of another database, or of a copy on this server.
select (select value from {schema}.meta where name = 'types'),
       (select value from {schema}.meta where name = 'identity') # (select oid::bigint from pg_database where datname = current_database());
-- name: next_due
select least(
    (select deadline from {schema}.process where domain = %(domain)s and status = 'open' order by deadline limit 1),
    (select deadline from {schema}.decision_task where domain = %(domain)s and state = 'started' order by deadline limit 1),
    (select deadline from {schema}.activity_task where domain = %(domain)s order by deadline limit 1),
    (select deadline from {schema}.timer where domain = %(domain)s order by deadline limit 1),
    4611686018427387904);

-- name: get_types
select 'workflow', name, body from {schema}.workflow_type where domain = %(domain)s
union all select 'activity', name, body from {schema}.activity_type where domain = %(domain)s;
-- name: set_workflow
insert into {schema}.workflow_type (domain, name, body) values (%(domain)s, %(name)s, %(body)s)
on conflict (domain, name) do update set body = excluded.body;
-- name: set_activity_type
insert into {schema}.activity_type (domain, name, body) values (%(domain)s, %(name)s, %(body)s)
on conflict (domain, name) do update set body = excluded.body;
-- name: types_changed
-- Locks the one row that registrations share.
update {schema}.meta set value = value + 1 where name = 'types';

-- name: lock_definitions
lock table {schema}.definition in share row exclusive mode;
-- name: define
insert into {schema}.definition (domain, kind, name, body, defined)
values (%(domain)s, %(kind)s, %(name)s, %(body)s, %(now)s) returning revision;
-- name: definitions
select revision, kind, name, body, defined from {schema}.definition
where domain = %(domain)s and revision > %(since)s order by revision;

-- name: touched
-- A part of other statements: the keys of processes that are named by key, by id, by an activity, or as the parent of one that may close.
%(keys)s::bigint[]
  || array(select run.key from unnest(%(ids)s::text[]) named, lateral (
           select r.key from {schema}.process r where r.domain = %(domain)s and r.id = named order by r.run desc limit 1) run)
  || array(select o.key from {schema}.activity_task o where o.domain = %(domain)s and o.number = any(%(numbers)s::bigint[]))
  || array(select c.parent_key from {schema}.process c
           where c.domain = %(domain)s and c.key = any(%(closing)s::bigint[]) and c.parent_key is not null)
-- name: lock_processes
-- The only statement that waits for rows: in the order of the keys, as everybody does.
select {process} from {schema}.process p
where p.domain = %(domain)s and p.key = any({touched}) order by p.key for no key update;
-- name: decisions_touched
-- After the lock: what belongs to a process that is locked does not change any more.
select {decision} from {schema}.decision_task d where d.domain = %(domain)s and d.key = any({touched});

-- name: process_by_key
select {process} from {schema}.process p where p.domain = %(domain)s and p.key = %(key)s;
-- name: process_by_key_nowait
select {process} from {schema}.process p where p.domain = %(domain)s and p.key = %(key)s for no key update nowait;
-- name: process_by_key_wait
select {process} from {schema}.process p where p.domain = %(domain)s and p.key = %(key)s for no key update;
-- name: process_by_id
select {process} from {schema}.process p where p.domain = %(domain)s and p.id = %(id)s order by p.run desc limit 1;
-- name: process_by_id_nowait
select {process} from {schema}.process p where p.domain = %(domain)s and p.id = %(id)s order by p.run desc limit 1
for no key update nowait;
-- name: process_by_id_wait
select {process} from {schema}.process p where p.domain = %(domain)s and p.id = %(id)s order by p.run desc limit 1
for no key update;
-- name: process_by_run
select {process} from {schema}.process p where p.domain = %(domain)s and p.id = %(id)s and p.run = %(run)s;
-- name: process_by_run_nowait
select {process} from {schema}.process p where p.domain = %(domain)s and p.id = %(id)s and p.run = %(run)s for no key update nowait;
-- name: process_by_run_wait
select {process} from {schema}.process p where p.domain = %(domain)s and p.id = %(id)s and p.run = %(run)s for no key update;
-- name: process_due
-- Locks what nobody else is at work on.
select {process} from {schema}.process p
where p.domain = %(domain)s and p.status = 'open' and p.deadline <= %(now)s
order by p.deadline limit %(limit)s for no key update skip locked;
-- Each list by another index, the oldest or the newest first.
-- name: processes_open_up
select {process} from {schema}.process p
where p.domain = %(domain)s and p.status = 'open' and p.key > %(after)s
  and (%(parked)s::boolean is null or not exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by p.key limit %(limit)s;
-- name: processes_open_down
select {process} from {schema}.process p
where p.domain = %(domain)s and p.status = 'open' and p.key < %(after)s
  and (%(parked)s::boolean is null or not exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by p.key desc limit %(limit)s;
-- name: processes_of_workflow_up
select {process} from {schema}.process p
where p.domain = %(domain)s and p.workflow = %(workflow)s and p.key > %(after)s
  and (%(status)s::text is null or p.status = %(status)s)
  and (%(parked)s::boolean is null or not exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by p.key limit %(limit)s;
-- name: processes_of_workflow_down
select {process} from {schema}.process p
where p.domain = %(domain)s and p.workflow = %(workflow)s and p.key < %(after)s
  and (%(status)s::text is null or p.status = %(status)s)
  and (%(parked)s::boolean is null or not exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by p.key desc limit %(limit)s;
-- name: processes_any_up
select {process} from {schema}.process p
where p.domain = %(domain)s and p.key > %(after)s
  and (%(status)s::text is null or p.status = %(status)s)
  and (%(parked)s::boolean is null or not exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by p.key limit %(limit)s;
-- name: processes_any_down
select {process} from {schema}.process p
where p.domain = %(domain)s and p.key < %(after)s
  and (%(status)s::text is null or p.status = %(status)s)
  and (%(parked)s::boolean is null or not exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by p.key desc limit %(limit)s;
-- name: processes_tagged_up
select {process} from {schema}.process_tag g join {schema}.process p on p.key = g.key
where g.domain = %(domain)s and g.tag = %(tag)s and g.key > %(after)s
  and (%(workflow)s::text is null or p.workflow = %(workflow)s)
  and (%(status)s::text is null or p.status = %(status)s)
  and (%(parked)s::boolean is null or %(parked)s = exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by g.key limit %(limit)s;
-- name: processes_tagged_down
select {process} from {schema}.process_tag g join {schema}.process p on p.key = g.key
where g.domain = %(domain)s and g.tag = %(tag)s and g.key < %(after)s
  and (%(workflow)s::text is null or p.workflow = %(workflow)s)
  and (%(status)s::text is null or p.status = %(status)s)
  and (%(parked)s::boolean is null or %(parked)s = exists (
      select from {schema}.decision_task d where d.key = p.key and d.state = 'parked'))
order by g.key desc limit %(limit)s;
-- name: processes_parked_up
select {process} from {schema}.decision_task d join {schema}.process p on p.key = d.key
where d.domain = %(domain)s and d.state = 'parked' and d.key > %(after)s
  and (%(workflow)s::text is null or p.workflow = %(workflow)s)
  and (%(status)s::text is null or p.status = %(status)s)
order by d.key limit %(limit)s;
-- name: processes_parked_down
select {process} from {schema}.decision_task d join {schema}.process p on p.key = d.key
where d.domain = %(domain)s and d.state = 'parked' and d.key < %(after)s
  and (%(workflow)s::text is null or p.workflow = %(workflow)s)
  and (%(status)s::text is null or p.status = %(status)s)
order by d.key desc limit %(limit)s;
-- name: new_keys
select nextval('{schema}.process_key') from generate_series(1, %(count)s);
-- name: new_numbers
select nextval('{schema}.activity_number') from generate_series(1, %(count)s);
-- name: add_processes
-- In the order of the ids: two transactions that start the same ones wait for each other in one direction only.
insert into {schema}.process (key, domain, id, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout,
       handles_cancel, fingerprint, started, deadline, status, closed, result, last_seq, seen_seq, digest, time, failures, opened, origin)
select key, %(domain)s, id, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout,
       handles_cancel, decode(fingerprint, 'base64'), started, deadline, status, closed, convert_from(decode(result, 'base64'), 'utf8'),
       last_seq, seen_seq, decode(digest, 'base64'), time, failures, opened, origin
from json_to_recordset(%(rows)s::json) as x (key bigint, id text, run integer, workflow text, category text, tags text[],
     parent_key bigint, parent_id text, timeout bigint, decision_timeout bigint, handles_cancel boolean, fingerprint text,
     started bigint, deadline bigint, status text, closed bigint, result text, last_seq integer, seen_seq integer, digest text,
     time bigint, failures integer, opened integer, origin bigint)
order by id, run;
-- name: set_processes
update {schema}.process p set parent_key = x.parent_key, parent_id = x.parent_id, status = x.status, closed = x.closed,
       result = convert_from(decode(x.result, 'base64'), 'utf8'), last_seq = x.last_seq, seen_seq = x.seen_seq,
       digest = decode(x.digest, 'base64'), time = x.time, failures = x.failures, opened = x.opened
from json_to_recordset(%(rows)s::json) as x (key bigint, parent_key bigint, parent_id text, status text, closed bigint, result text,
     last_seq integer, seen_seq integer, digest text, time bigint, failures integer, opened integer)
where p.key = x.key;
-- name: add_inputs
insert into {schema}.process_input (key, body)
select key, body from json_to_recordset(%(rows)s::json) as x (key bigint, body text);
-- name: get_input
select body from {schema}.process_input where key = %(key)s;
-- name: add_tags
insert into {schema}.process_tag (domain, tag, key)
select distinct %(domain)s::integer, tag, key from json_to_recordset(%(rows)s::json) as x (tag text, key bigint);

-- name: add_events
-- A cursor is (number of a transaction << 20) + place. `docs/architecture/feed-order.md` says why it is right; places from 524288 on are
-- for transactions that are older than the events of the same processes, or of the same transaction, which they follow.
with block as materialized (
    select own.first, greatest(own.first, own.latest) as latest, json_array_length(%(rows)s::json) as total,
           greatest(own.first, nullif(current_setting({feed_setting}, true), '')::bigint,
                    -- Only where a younger transaction has added events to the feed, may one have added some to these processes.
                    case when (select max(e.cursor) from {schema}.event e where e.domain = %(domain)s) >= own.first + 1048576 then (
                        select max(l.cursor) from json_to_recordset(%(rows)s::json) as x (key bigint), lateral (
                            select e.cursor from {schema}.event e where e.key = x.key order by e.first_seq desc limit 1) l) end) as last
    from (select (pg_current_xact_id()::text::bigint + m.value) << 20 as first,
                 (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1 + m.value) << 20 as latest
          from {schema}.meta m where m.name = 'transaction_offset') own),
placed as (
    select x.*, block.last,
           case when block.last + block.total >= block.first + 524288
                then block.latest + 524288 + (nextval('{schema}.late_event') & 524287) end as late
    from block, rows from (json_to_recordset(%(rows)s::json) as (key bigint, first_seq integer, body text))
                    with ordinality as x (key, first_seq, body, place))
insert into {schema}.event (domain, cursor, key, first_seq, body)
select %(domain)s, greatest(last, max(late - place) over (order by place)) + place, key, first_seq, body
from placed order by place
returning cursor, case when %(joined)s::boolean then set_config({feed_setting}, cursor::text, true) end;
-- name: events_since
select e.first_seq, e.body from {schema}.event e
where e.key = %(key)s and e.first_seq >= coalesce(
    (select b.first_seq from {schema}.event b where b.key = %(key)s and b.first_seq <= %(next)s order by b.first_seq desc limit 1), 0)
order by e.first_seq;
-- name: events_wanted
select e.key, e.first_seq, e.body
from json_to_recordset(%(wanted)s::json) as x (key bigint, first_seq integer), lateral (
    select b.key, b.first_seq, b.body from {schema}.event b
    where b.key = x.key and b.first_seq >= coalesce(
        (select f.first_seq from {schema}.event f where f.key = x.key and f.first_seq <= x.first_seq order by f.first_seq desc limit 1), 0)
    order by b.first_seq) e;
-- name: feed
-- Of the transactions below the oldest that runs, all have ended: nothing will ever be added before the horizon.
select e.cursor, p.id, p.run, p.workflow, p.parent_id, e.first_seq, e.body
from {schema}.event e join {schema}.process p on p.key = e.key
where e.domain = %(domain)s and e.cursor > %(cursor)s
  and e.cursor < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                  + (select value from {schema}.meta where name = 'transaction_offset')) << 20
order by e.cursor limit %(limit)s;
-- name: feed_end
select e.cursor, p.id, p.run, p.workflow, p.parent_id, e.first_seq, e.body
from {schema}.event e join {schema}.process p on p.key = e.key
where e.domain = %(domain)s
  and e.cursor < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                  + (select value from {schema}.meta where name = 'transaction_offset')) << 20
order by e.cursor desc limit 1;
-- name: feed_purged
-- What a standby lacks may still arrive.
select case when pg_is_in_recovery() then 9223372036854775807
            else coalesce((select value from {schema}.meta where name = 'feed_purged_' || %(domain)s::integer), 0) end;

-- name: get_decision
select {decision} from {schema}.decision_task d where d.key = %(key)s;
-- name: decisions_of
select {decision} from {schema}.decision_task d where d.key = any(%(keys)s::bigint[]);
-- name: look
-- Whether there is work, and when something is due: one statement, for idle workers ask it all the time.
-- A task of a process that is gone, which is damage, is no work: nobody could claim it.
select coalesce(%(now)s::bigint, {server_time}), ({next_due}),
       exists (select from unnest(%(decisions)s::text[], %(workflows)s::text[]) as wanted (category, name), lateral (
           select from {schema}.decision_task d join {schema}.process p on p.key = d.key
           where d.domain = %(domain)s and d.state = 'scheduled' and d.category = wanted.category and d.name = wanted.name
             and d.ready <= {now} order by d.ready limit 1) t)
    or exists (select from unnest(%(tasks)s::text[], %(activities)s::text[]) as wanted (category, name), lateral (
           select from {schema}.activity_task a join {schema}.process p on p.key = a.key
           where a.domain = %(domain)s and a.state = 'scheduled' and a.category = wanted.category and a.name = wanted.name
             and a.ready <= {now} order by a.ready limit 1) t)
    or exists (select from unnest(%(any_decisions)s::text[]) as wanted (category), lateral (
           select from {schema}.decision_task d join {schema}.process p on p.key = d.key
           where d.domain = %(domain)s and d.state = 'scheduled' and d.category = wanted.category and d.ready <= {now}
           order by d.name, d.ready limit 1) t)
    or exists (select from unnest(%(any_tasks)s::text[]) as wanted (category), lateral (
           select from {schema}.activity_task a join {schema}.process p on p.key = a.key
           where a.domain = %(domain)s and a.state = 'scheduled' and a.category = wanted.category and a.ready <= {now}
           order by a.name, a.ready limit 1) t);
-- name: decision_names
-- A part of other statements: the names that wait in a queue, from name to name of the index.
array(with recursive waiting (name) as (
          select min(w.name) from {schema}.decision_task w
          where w.domain = %(domain)s and w.state = 'scheduled' and w.category = %(category)s
          union all
          select (select min(w.name) from {schema}.decision_task w
                  where w.domain = %(domain)s and w.state = 'scheduled' and w.category = %(category)s and w.name > waiting.name)
          from waiting where name is not null)
      select name from waiting where name is not null)
-- name: claim_decisions
-- Locks both rows of what nobody else is at work on; that of the task too, because only a locked row is looked at anew when it has changed.
-- Candidates are read by name, each name in the order of its index, and merged; there are more than are wanted, because others may hold some.
select {decision}, {process}
from (select c.key, c.ready from unnest(coalesce(%(names)s::text[], {decision_names})) as own (name), lateral (
          select w.key, w.ready from {schema}.decision_task w
          where w.domain = %(domain)s and w.state = 'scheduled' and not w.suspect and w.category = %(category)s and w.name = own.name
            and w.ready <= {now}
          order by w.ready, w.key limit %(candidates)s) c
      order by c.ready, c.key) candidate
join {schema}.decision_task d on d.key = candidate.key join {schema}.process p on p.key = d.key
where d.domain = %(domain)s and d.state = 'scheduled' and not d.suspect and d.ready <= {now}
order by candidate.ready, candidate.key limit %(limit)s for no key update of d, p skip locked;
-- name: claim_suspect_decision
select {decision}, {process} from {schema}.decision_task d join {schema}.process p on p.key = d.key
where d.domain = %(domain)s and d.state = 'scheduled' and d.suspect and d.category = %(category)s and d.ready <= {now}
  and (%(names)s::text[] is null or d.name = any(%(names)s::text[]))
order by d.ready, d.key limit %(limit)s for no key update of d, p skip locked;
-- name: suspects
-- Queues in which suspects wait.
select 'decision', wanted from unnest(%(decisions)s::text[]) wanted
where exists (select from {schema}.decision_task d where d.domain = %(domain)s and d.state = 'scheduled' and d.suspect
              and d.category = wanted and d.ready <= {now})
union all select 'activity', wanted from unnest(%(activities)s::text[]) wanted
where exists (select from {schema}.activity_task a where a.domain = %(domain)s and a.state = 'scheduled' and a.suspect
              and a.category = wanted and a.ready <= {now});
-- name: decisions_due
select {decision}, {process} from {schema}.decision_task d join {schema}.process p on p.key = d.key
where d.domain = %(domain)s and d.state = 'started' and d.deadline <= %(now)s
order by d.deadline limit %(limit)s for no key update of d, p skip locked;
-- name: drop_orphans
-- What is due of processes that are gone: it would be due for ever.
with decisions as (
    delete from {schema}.decision_task d where d.domain = %(domain)s and d.state = 'started' and d.deadline <= %(now)s
       and not exists (select from {schema}.process p where p.key = d.key) returning 1),
activities as (
    delete from {schema}.activity_task a where a.domain = %(domain)s and a.deadline <= %(now)s
       and not exists (select from {schema}.process p where p.key = a.key) returning 1),
timers as (
    delete from {schema}.timer t where t.domain = %(domain)s and t.deadline <= %(now)s
       and not exists (select from {schema}.process p where p.key = t.key) returning 1)
select (select count(*) from decisions) + (select count(*) from activities) + (select count(*) from timers);
-- name: put_decisions
insert into {schema}.decision_task (key, domain, name, category, ready, state, token, deadline, lease_limit, started_seq, pending, identity,
       reason, suspect, lost, waits)
select key, %(domain)s, name, category, ready, state, token, deadline, "limit", started_seq, pending, identity, reason, suspect, lost, waits
from json_to_recordset(%(rows)s::json) as x (key bigint, name text, category text, ready bigint, state text, token text, deadline bigint,
     "limit" bigint, started_seq integer, pending boolean, identity text, reason text, suspect boolean, lost integer,
     waits integer)
on conflict (key) do update set category = excluded.category, ready = excluded.ready, state = excluded.state, token = excluded.token,
    deadline = excluded.deadline, lease_limit = excluded.lease_limit, started_seq = excluded.started_seq, pending = excluded.pending,
    identity = excluded.identity, reason = excluded.reason, suspect = excluded.suspect, lost = excluded.lost,
    waits = excluded.waits;
-- name: drop_decisions
delete from {schema}.decision_task where key = any(%(keys)s::bigint[]);

-- name: get_activity
select {activity} from {schema}.activity_task a where a.domain = %(domain)s and a.number = %(number)s;
-- name: activities_numbered
select {activity} from {schema}.activity_task a where a.domain = %(domain)s and a.number = any(%(numbers)s::bigint[]);
-- name: activity_by_id
select {activity} from {schema}.activity_task a where a.key = %(key)s and a.id = %(id)s;
-- name: activities_named
select {activity} from {schema}.activity_task a
where (a.key, a.id) in (select key, id from json_to_recordset(%(pairs)s::json) as x (key bigint, id text));
-- name: activities_of
select {activity} from {schema}.activity_task a where a.key = any(%(keys)s::bigint[]) order by a.number;
-- name: activity_names
-- A part of other statements: the names that wait in a queue, from name to name of the index.
array(with recursive waiting (name) as (
          select min(w.name) from {schema}.activity_task w
          where w.domain = %(domain)s and w.state = 'scheduled' and w.category = %(category)s
          union all
          select (select min(w.name) from {schema}.activity_task w
                  where w.domain = %(domain)s and w.state = 'scheduled' and w.category = %(category)s and w.name > waiting.name)
          from waiting where name is not null)
      select name from waiting where name is not null)
-- name: claim_activities
select {activity}, {process}
from (select c.number, c.ready from unnest(coalesce(%(names)s::text[], {activity_names})) as own (name), lateral (
          select w.number, w.ready from {schema}.activity_task w
          where w.domain = %(domain)s and w.state = 'scheduled' and not w.suspect and w.category = %(category)s and w.name = own.name
            and w.ready <= {now}
          order by w.ready, w.number limit %(candidates)s) c
      order by c.ready, c.number) candidate
join {schema}.activity_task a on a.number = candidate.number join {schema}.process p on p.key = a.key
where a.domain = %(domain)s and a.state = 'scheduled' and not a.suspect and a.ready <= {now}
order by candidate.ready, candidate.number limit %(limit)s for no key update of a, p skip locked;
-- name: claim_suspect_activity
select {activity}, {process} from {schema}.activity_task a join {schema}.process p on p.key = a.key
where a.domain = %(domain)s and a.state = 'scheduled' and a.suspect and a.category = %(category)s and a.ready <= {now}
  and (%(names)s::text[] is null or a.name = any(%(names)s::text[]))
order by a.ready, a.number limit %(limit)s for no key update of a, p skip locked;
-- name: activities_due
select {activity}, {process} from {schema}.activity_task a join {schema}.process p on p.key = a.key
where a.domain = %(domain)s and a.deadline <= %(now)s
order by a.deadline limit %(limit)s for no key update of a, p skip locked;
-- name: add_activities
insert into {schema}.activity_task (number, domain, key, id, name, category, input, scheduled_timeout, execution_timeout,
       heartbeat_timeout, retry, at_most_once, ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity,
       details, cancel_requested, suspect)
select number, %(domain)s, key, id, name, category, convert_from(decode(input, 'base64'), 'utf8'), scheduled_timeout, execution_timeout,
       heartbeat_timeout, retry::text, at_most_once, ready, since, state, token, deadline, heartbeat, lease, attempt, lost, failed, identity,
       convert_from(decode(details, 'base64'), 'utf8'), cancel_requested, suspect
from json_to_recordset(%(rows)s::json) as x (number bigint, key bigint, id text, name text, category text, input text,
     scheduled_timeout bigint, execution_timeout bigint, heartbeat_timeout bigint, retry json, at_most_once boolean, ready bigint,
     since bigint, state text, token text, deadline bigint, heartbeat bigint, lease bigint, attempt integer, lost integer,
     failed integer, identity text, details text, cancel_requested boolean, suspect boolean);
-- name: set_activities
update {schema}.activity_task a set ready = x.ready, since = x.since, state = x.state, token = x.token, deadline = x.deadline,
       heartbeat = x.heartbeat, lease = x.lease, attempt = x.attempt, lost = x.lost, failed = x.failed, identity = x.identity,
       details = convert_from(decode(x.details, 'base64'), 'utf8'), cancel_requested = x.cancel_requested, suspect = x.suspect
from json_to_recordset(%(rows)s::json) as x (number bigint, ready bigint, since bigint, state text, token text, deadline bigint,
     heartbeat bigint, lease bigint, attempt integer, lost integer, failed integer, identity text, details text, cancel_requested boolean,
     suspect boolean)
where a.number = x.number;
-- name: drop_activities
delete from {schema}.activity_task where number = any(%(keys)s::bigint[]);

-- name: get_timer
select {timer} from {schema}.timer t where t.key = %(key)s and t.id = %(id)s;
-- name: timers_named
select {timer} from {schema}.timer t
where (t.key, t.id) in (select key, id from json_to_recordset(%(pairs)s::json) as x (key bigint, id text));
-- name: timers_of
select {timer} from {schema}.timer t where t.key = any(%(keys)s::bigint[]) order by t.id;
-- name: timers_due
select {timer}, {process} from {schema}.timer t join {schema}.process p on p.key = t.key
where t.domain = %(domain)s and t.deadline <= %(now)s
order by t.deadline limit %(limit)s for no key update of t, p skip locked;
-- name: put_timers
insert into {schema}.timer (key, domain, id, delay, data, since, deadline)
select key, %(domain)s, id, delay, convert_from(decode(data, 'base64'), 'utf8'), since, deadline
from json_to_recordset(%(rows)s::json) as x (key bigint, id text, delay float8, data text, since bigint, deadline bigint)
on conflict (key, id) do update set delay = excluded.delay, data = excluded.data, since = excluded.since, deadline = excluded.deadline;
-- name: drop_timers
delete from {schema}.timer t using json_to_recordset(%(pairs)s::json) as x (key bigint, id text) where t.key = x.key and t.id = x.id;

-- name: get_child
select {child} from {schema}.child c where c.key = %(key)s and c.id = %(id)s;
-- name: links
select {child} from {schema}.process p join {schema}.child c on c.key = p.parent_key and c.id = p.id
where p.key = any(%(keys)s::bigint[]);
-- name: children_of
select {child} from {schema}.child c where c.key = any(%(keys)s::bigint[]) order by c.id;
-- name: put_children
insert into {schema}.child (key, id, child_key, workflow, policy, since)
select key, id, child_key, workflow, policy, since
from json_to_recordset(%(rows)s::json) as x (key bigint, id text, child_key bigint, workflow text, policy text, since bigint)
on conflict (key, id) do update set child_key = excluded.child_key, workflow = excluded.workflow, policy = excluded.policy,
    since = excluded.since;
-- name: drop_children
delete from {schema}.child c using json_to_recordset(%(pairs)s::json) as x (key bigint, id text) where c.key = x.key and c.id = x.id;

-- name: event_with_text
select 1 from {schema}.event where key = %(key)s and strpos(body, %(text)s) > 0 limit 1;
-- name: signals_named
select s.origin, s.id from {schema}.signal_receipt s
where (s.origin, s.id) in (select key, id from json_to_recordset(%(pairs)s::json) as x (key bigint, id text));
-- name: signals_told
select run.key, s.id from json_to_recordset(%(told)s::json) as x (process text, id text), lateral (
    select r.key, coalesce(r.origin, r.key) as origin from {schema}.process r
    where r.domain = %(domain)s and r.id = x.process order by r.run desc limit 1) run
join {schema}.signal_receipt s on s.origin = run.origin where s.id = x.id;
-- name: signals_of
select key, id from {schema}.signal_receipt where key = any(%(keys)s::bigint[]) order by id;
-- name: add_signals
insert into {schema}.signal_receipt (key, id, origin)
select key, id, origin from json_to_recordset(%(rows)s::json) as x (key bigint, id text, origin bigint) on conflict do nothing;

-- name: saw
insert into {schema}.poller (domain, kind, category, identity, seen, names)
select %(domain)s, kind, category, identity, %(now)s, names
from json_to_recordset(%(rows)s::json) as x (kind text, category text, identity text, names text) order by kind, category, identity
on conflict (domain, kind, category, identity) do update set seen = excluded.seen, names = excluded.names;
-- name: pollers
select identity, kind, category, seen, names from {schema}.poller where domain = %(domain)s and seen >= %(since)s
order by identity collate "C", kind, category collate "C";
-- Goes from name to name of the claims' own indexes, and counts no further than `most` in any.
-- name: queue_depths
with recursive
deciding (category) as (
    select min(category) from {schema}.decision_task where domain = %(domain)s and state = 'scheduled'
    union all
    select (select min(t.category) from {schema}.decision_task t where t.domain = %(domain)s and t.state = 'scheduled' and t.category > deciding.category)
    from deciding where category is not null),
decision (category, name) as (
    select category, (select min(t.name) from {schema}.decision_task t where t.domain = %(domain)s and t.state = 'scheduled' and t.category = deciding.category)
    from deciding where category is not null
    union all
    select category, (select min(t.name) from {schema}.decision_task t
                      where t.domain = %(domain)s and t.state = 'scheduled' and t.category = decision.category and t.name > decision.name)
    from decision where name is not null),
acting (category) as (
    select min(category) from {schema}.activity_task where domain = %(domain)s and state = 'scheduled'
    union all
    select (select min(t.category) from {schema}.activity_task t where t.domain = %(domain)s and t.state = 'scheduled' and t.category > acting.category)
    from acting where category is not null),
activity (category, name) as (
    select category, (select min(t.name) from {schema}.activity_task t where t.domain = %(domain)s and t.state = 'scheduled' and t.category = acting.category)
    from acting where category is not null
    union all
    select category, (select min(t.name) from {schema}.activity_task t
                      where t.domain = %(domain)s and t.state = 'scheduled' and t.category = activity.category and t.name > activity.name)
    from activity where name is not null)
select 'decision'::text as kind, category, name,
       (select count(*) from (select from {schema}.decision_task t
         where t.domain = %(domain)s and t.state = 'scheduled' and t.category = decision.category and t.name = decision.name and t.ready <= %(now)s limit %(most)s) c)::integer as waiting,
       (select count(*) from (select from {schema}.decision_task t
         where t.domain = %(domain)s and t.state = 'scheduled' and t.category = decision.category and t.name = decision.name and t.ready > %(now)s limit %(most)s) c)::integer as delayed,
       0 as running,
       (select min(t.ready) from {schema}.decision_task t
         where t.domain = %(domain)s and t.state = 'scheduled' and t.category = decision.category and t.name = decision.name and t.ready <= %(now)s) as oldest
from decision where name is not null
union all
select 'activity'::text as kind, category, name,
       (select count(*) from (select from {schema}.activity_task t
         where t.domain = %(domain)s and t.state = 'scheduled' and t.category = activity.category and t.name = activity.name and t.ready <= %(now)s limit %(most)s) c)::integer as waiting,
       (select count(*) from (select from {schema}.activity_task t
         where t.domain = %(domain)s and t.state = 'scheduled' and t.category = activity.category and t.name = activity.name and t.ready > %(now)s limit %(most)s) c)::integer as delayed,
       0 as running,
       (select min(t.ready) from {schema}.activity_task t
         where t.domain = %(domain)s and t.state = 'scheduled' and t.category = activity.category and t.name = activity.name and t.ready <= %(now)s) as oldest
from activity where name is not null
union all
select 'decision', category, null, 0, 0, count(*)::integer, null
from (select category from {schema}.decision_task where domain = %(domain)s and state = 'started' order by deadline limit %(most)s) t group by category
union all
select 'activity', category, null, 0, 0, count(*)::integer, null
from (select category from {schema}.activity_task where domain = %(domain)s and state = 'started' order by category limit %(most)s) t group by category;

-- name: add_receipt
-- The rows of the transactions before this one have done their duty.
with done as (delete from {schema}.transaction_receipt where id = any(%(before)s::text[]))
insert into {schema}.transaction_receipt (id) values (%(id)s);
-- name: void_receipt
-- Waits while the transaction in doubt still runs. If it has not committed, this row keeps it from doing so ever after.
insert into {schema}.transaction_receipt (id, void) values (%(id)s, true) on conflict do nothing;
-- name: get_receipt
select void from {schema}.transaction_receipt where id = %(id)s;
-- name: cursors
select e.key, e.first_seq, e.cursor from {schema}.event e
where (e.key, e.first_seq) in (select key, first_seq from json_to_recordset(%(events)s::json) as x (key bigint, first_seq integer));
-- name: notify
select pg_notify(%(channel)s, %(notice)s);

-- name: keys_after
select key from {schema}.process where domain = %(domain)s and key > %(after)s order by key limit %(limit)s;
-- name: check_processes
select {process} from {schema}.process p where p.key = any(%(keys)s::bigint[]) order by p.key;
-- name: inputs_of
select key, body from {schema}.process_input where key = any(%(keys)s::bigint[]);
-- name: check_events
select key, first_seq, body from {schema}.event where key = any(%(keys)s::bigint[]) order by key, first_seq;
-- name: count_processes
select count(*) from {schema}.process where domain = %(domain)s;
-- name: counters
-- The numbers that the sequences have given last, and the largest in use.
-- Null where that is not for this role to know.
select name, case when has_sequence_privilege(sequence, 'select') then pg_sequence_last_value(sequence::regclass) end, most
from (values ('process_key', '{schema}.process_key', (select max(key) from {schema}.process)),
             ('activity_number', '{schema}.activity_number', (select max(number) from {schema}.activity_task))) c (name, sequence, most);
-- name: orphans
select 'event', t.key from {schema}.event t where not exists (select from {schema}.process p where p.key = t.key)
union all select 'decision_task', t.key from {schema}.decision_task t where not exists (select from {schema}.process p where p.key = t.key)
union all select 'activity_task', t.key from {schema}.activity_task t where not exists (select from {schema}.process p where p.key = t.key)
union all select 'timer', t.key from {schema}.timer t where not exists (select from {schema}.process p where p.key = t.key)
union all select 'child', t.key from {schema}.child t where not exists (select from {schema}.process p where p.key = t.key)
union all select 'process_input', t.key from {schema}.process_input t where not exists (select from {schema}.process p where p.key = t.key)
union all select 'process_tag', t.key from {schema}.process_tag t where not exists (select from {schema}.process p where p.key = t.key)
union all select 'signal_receipt', t.key from {schema}.signal_receipt t where not exists (select from {schema}.process p where p.key = t.key);
-- name: strangers
-- What stands in another domain than its process.
select 'event', t.key from {schema}.event t join {schema}.process p on p.key = t.key where p.domain = %(domain)s and t.domain <> p.domain
union all select 'decision_task', t.key from {schema}.decision_task t join {schema}.process p on p.key = t.key
    where p.domain = %(domain)s and t.domain <> p.domain
union all select 'activity_task', t.key from {schema}.activity_task t join {schema}.process p on p.key = t.key
    where p.domain = %(domain)s and t.domain <> p.domain
union all select 'timer', t.key from {schema}.timer t join {schema}.process p on p.key = t.key
    where p.domain = %(domain)s and t.domain <> p.domain
union all select 'process_tag', t.key from {schema}.process_tag t join {schema}.process p on p.key = t.key
    where p.domain = %(domain)s and t.domain <> p.domain;
-- name: lock_closed_before
-- Locks what nobody else is at work on: many may purge at once.
select p.key from {schema}.process p where p.domain = %(domain)s and p.closed is not null and p.closed < %(before)s
order by p.closed limit %(limit)s for update skip locked;
-- name: purge_tags
delete from {schema}.process_tag g using {schema}.process p
where p.key = any(%(keys)s::bigint[]) and g.domain = p.domain and g.tag = any(p.tags) and g.key = p.key;
-- name: purge_events
with removed as (delete from {schema}.event where key = any(%(keys)s::bigint[]) returning cursor)
insert into {schema}.meta as m (name, value)
select 'feed_purged_' || %(domain)s::integer, max(cursor) from removed having max(cursor) is not null
on conflict (name) do update set value = greatest(m.value, excluded.value);
-- name: purge_inputs
delete from {schema}.process_input where key = any(%(keys)s::bigint[]);
-- name: purge_signals
delete from {schema}.signal_receipt where key = any(%(keys)s::bigint[]);
-- name: purge_processes
delete from {schema}.process where key = any(%(keys)s::bigint[]);
-- name: purge_receipts
delete from {schema}.transaction_receipt where made < clock_timestamp() - interval '1 day';
-- name: purge_pollers
delete from {schema}.poller where domain = %(domain)s and seen < %(now)s - 86400000000;

-- name: get_domain
select number from {schema}.domain where name = %(name)s;
-- name: add_domain
insert into {schema}.domain (name) values (%(name)s) on conflict (name) do nothing;
-- name: server_version
select 'PostgreSQL ' || current_setting('server_version');
-- name: schema_version
select value from {schema}.meta where name = 'schema';
-- name: schema_is_there
select to_regclass('{schema}.meta') is not null;
-- name: schema_lock
-- One starter at a time. The lock ends with the transaction.
select pg_advisory_xact_lock(hashtextextended(%(name)s, 7012340));
-- name: schema_begin
create schema if not exists {schema};
-- name: schema_meta
create table if not exists {schema}.meta (name text primary key, value bigint not null);
-- name: schema_values
insert into {schema}.meta (name, value) values ('schema', 0), ('types', 1), ('transaction_offset', 0) on conflict do nothing;
-- name: set_version
update {schema}.meta set value = %(version)s where name = 'schema';
-- name: lag
-- By how much the server's transactions are behind those that wrote the events: more than nothing after a dump was read into another server.
select greatest(0, max(last.cursor >> 20) + 1
       - (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + (select value from {schema}.meta where name = 'transaction_offset')))
from {schema}.domain, lateral (select e.cursor from {schema}.event e where e.domain = domain.number order by e.cursor desc limit 1) last;
-- name: catch_up
update {schema}.meta set value = value + %(lag)s where name = 'transaction_offset';
