-- The first schema. Instants and durations are microseconds; payloads are UTF-8 JSON.

create table meta (
    name  text primary key,
    value any not null
) strict, without rowid;

create table workflow_type (
    name text primary key,
    body blob not null
) strict, without rowid;

create table activity_type (
    name text primary key,
    body blob not null
) strict, without rowid;

-- One run of a process. Its events, input and open work are in tables of their own, so that this row stays small.
create table process (
    key              integer primary key,
    id               text    not null,
    run              integer not null,
    workflow         text    not null,
    category         text    not null,
    tags             text    not null,
    parent_key       integer,
    parent_id        text,
    timeout          integer not null,
    decision_timeout integer not null,
    handles_cancel   integer not null,
    fingerprint      blob    not null,
    started          integer not null,
    deadline         integer not null,
    status           text    not null,
    closed           integer,
    result           blob,
    last_seq         integer not null,
    seen_seq         integer not null,
    digest           blob    not null,
    time             integer not null,
    failures         integer not null,
    opened           integer not null
) strict;

create unique index process_id on process (id, run);
create index process_open on process (key) where status = 'open';
create index process_deadline on process (deadline) where status = 'open';
create index process_closed on process (closed) where closed is not null;
create index process_workflow on process (workflow, key);

create table process_input (
    key  integer primary key,
    body blob not null
) strict;

create table process_tag (
    tag text    not null,
    key integer not null,
    primary key (tag, key)
) strict, without rowid;

-- The events that one transaction added to one process, as a JSON array. The rowid is the cursor of the feed: it only grows.
create table event (
    cursor    integer primary key autoincrement,
    key       integer not null,
    first_seq integer not null,
    body      blob    not null
) strict;

create unique index event_process on event (key, first_seq);

-- The primary key is what keeps a process from having two open decisions.
create table decision_task (
    key         integer primary key,
    category    text    not null,
    ready       integer not null,
    state       text    not null,
    token       text,
    deadline    integer not null,
    lease_limit integer not null,
    started_seq integer not null,
    pending     integer not null,
    identity    text,
    reason      text
) strict;

create index decision_ready on decision_task (category, ready, key) where state = 'scheduled';
create index decision_deadline on decision_task (deadline) where state = 'started';

create table activity_task (
    number            integer primary key,
    key               integer not null,
    id                text    not null,
    name              text    not null,
    category          text    not null,
    input             blob    not null,
    scheduled_timeout integer not null,
    execution_timeout integer not null,
    heartbeat_timeout integer not null,
    retry             blob,
    at_most_once      integer not null,
    ready             integer not null,
    since             integer not null,
    state             text    not null,
    token             text,
    deadline          integer not null,
    heartbeat         integer not null,
    lease             integer,
    attempt           integer not null,
    lost              integer not null,
    identity          text,
    details           blob,
    cancel_requested  integer not null
) strict;

create unique index activity_process on activity_task (key, id);
create index activity_ready on activity_task (category, ready, number) where state = 'scheduled';
create index activity_deadline on activity_task (deadline);

create table timer (
    key      integer not null,
    id       text    not null,
    delay    real    not null,
    data     blob    not null,
    since    integer not null,
    deadline integer not null,
    primary key (key, id)
) strict, without rowid;

create index timer_deadline on timer (deadline);

create table child (
    key       integer not null,
    id        text    not null,
    child_key integer not null,
    workflow  text    not null,
    policy    text    not null,
    since     integer not null,
    primary key (key, id)
) strict, without rowid;

-- Ids of signals that their senders chose, so that a repeat is known.
create table signal_receipt (
    key integer not null,
    id  text    not null,
    primary key (key, id)
) strict, without rowid;

-- Who polls which queue, for people who ask why nothing happens.
create table poller (
    kind     text    not null,
    category text    not null,
    identity text    not null,
    seen     integer not null,
    primary key (kind, category, identity)
) strict, without rowid;
