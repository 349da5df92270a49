-- The log of definitions.
create table {schema}.definition (
    domain   integer not null,
    revision bigint  generated always as identity,
    kind     text    not null,
    name     text    not null,
    body     text    not null,
    defined  bigint  not null,
    primary key (domain, revision)
);
