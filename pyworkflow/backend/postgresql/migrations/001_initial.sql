-- The first schema. Instants and durations are microseconds; payloads are JSON as text, kept to the letter.
-- Every table that is searched by more than a process's own number has the domain first in its indexes.

create table {schema}.domain (
    number integer generated always as identity primary key,
    name   text not null unique
);

create table {schema}.workflow_type (
    domain integer not null,
    name   text    not null,
    body   text    not null,
    primary key (domain, name)
);

create table {schema}.activity_type (
    domain integer not null,
    name   text    not null,
    body   text    not null,
    primary key (domain, name)
);

create sequence {schema}.process_key;
create sequence {schema}.activity_number;

-- One run of a process. Its events, input and open work are in tables of their own, so that this row stays small: every transition
-- updates it, and locks it first. Room is left in each page so that the new version of the row lies beside the old one (HOT).
create table {schema}.process (
    key              bigint  primary key,
    domain           integer not null,
    id               text    not null,
    run              integer not null,
    workflow         text    not null,
    category         text    not null,
    tags             text[]  not null,
    parent_key       bigint,
    parent_id        text,
    timeout          bigint  not null,
    decision_timeout bigint  not null,
    handles_cancel   boolean not null,
    fingerprint      bytea   not null,
    started          bigint  not null,
    deadline         bigint  not null,
    status           text    not null,
    closed           bigint,
    result           text,
    last_seq         integer not null,
    seen_seq         integer not null,
    digest           bytea   not null,
    time             bigint  not null,
    failures         integer not null,
    opened           integer not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

create unique index process_id on {schema}.process (domain, id, run);
create index process_open on {schema}.process (domain, key) where status = 'open';
create index process_deadline on {schema}.process (domain, deadline) where status = 'open';
create index process_closed on {schema}.process (domain, closed) where closed is not null;
create index process_workflow on {schema}.process (domain, workflow, key);

create table {schema}.process_input (
    key  bigint primary key,
    body text   not null
);

create table {schema}.process_tag (
    domain integer not null,
    tag    text    not null,
    key    bigint  not null,
    primary key (domain, tag, key)
);

-- The events that one transaction added to one process, as a JSON array. The cursor is the number of the transaction with the place
-- within it: transactions commit in another order than they begin, so the feed shows a cursor only when no older transaction runs.
create table {schema}.event (
    domain    integer not null,
    cursor    bigint  not null,
    key       bigint  not null,
    first_seq integer not null,
    body      text    not null,
    primary key (key, first_seq)
);

create unique index event_feed on {schema}.event (domain, cursor);

-- The primary key is what keeps a process from having two open decisions.
create table {schema}.decision_task (
    key         bigint  primary key,
    domain      integer not null,
    category    text    not null,
    ready       bigint  not null,
    state       text    not null,
    token       text,
    deadline    bigint  not null,
    lease_limit bigint  not null,
    started_seq integer not null,
    pending     boolean not null,
    identity    text,
    reason      text
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

create index decision_ready on {schema}.decision_task (domain, category, ready, key) where state = 'scheduled';
create index decision_deadline on {schema}.decision_task (domain, deadline) where state = 'started';
create index decision_parked on {schema}.decision_task (domain, key) where state = 'parked';

create table {schema}.activity_task (
    number            bigint  primary key,
    domain            integer not null,
    key               bigint  not null,
    id                text    not null,
    name              text    not null,
    category          text    not null,
    input             text    not null,
    scheduled_timeout bigint  not null,
    execution_timeout bigint  not null,
    heartbeat_timeout bigint  not null,
    retry             text,
    at_most_once      boolean not null,
    ready             bigint  not null,
    since             bigint  not null,
    state             text    not null,
    token             text,
    deadline          bigint  not null,
    heartbeat         bigint  not null,
    lease             bigint,
    attempt           integer not null,
    lost              integer not null,
    failed            integer not null,
    identity          text,
    details           text,
    cancel_requested  boolean not null
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

create unique index activity_process on {schema}.activity_task (key, id);
create index activity_ready on {schema}.activity_task (domain, category, ready, number) where state = 'scheduled';
create index activity_deadline on {schema}.activity_task (domain, deadline);

create table {schema}.timer (
    key      bigint  not null,
    domain   integer not null,
    id       text    not null,
    delay    float8  not null,
    data     text    not null,
    since    bigint  not null,
    deadline bigint  not null,
    primary key (key, id)
) with (autovacuum_vacuum_scale_factor = 0.05);

create index timer_deadline on {schema}.timer (domain, deadline);

create table {schema}.child (
    key       bigint not null,
    id        text   not null,
    child_key bigint not null,
    workflow  text   not null,
    policy    text   not null,
    since     bigint not null,
    primary key (key, id)
);

-- Ids of signals that their senders chose, so that a repeat is known.
create table {schema}.signal_receipt (
    key bigint not null,
    id  text   not null,
    primary key (key, id)
);

-- Who polls which queue, for people who ask why nothing happens.
create table {schema}.poller (
    domain   integer not null,
    kind     text    not null,
    category text    not null,
    identity text    not null,
    seen     bigint  not null,
    primary key (domain, kind, category, identity)
);

-- One row for the last transaction of each backend object: whoever loses its connection while it commits looks here for what became of
-- it. A void one is that of a transaction which did not commit, and cannot any more. The instant is the server's, whatever clock the other
-- tables are written by.
create table {schema}.transaction_receipt (
    id   text        primary key,
    void boolean     not null default false,
    made timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
