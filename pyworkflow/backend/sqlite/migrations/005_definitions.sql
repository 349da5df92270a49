-- The log of definitions. A revision that a reader has seen must never come again, whatever becomes of the rows.
create table definition (
    revision integer primary key autoincrement,
    kind     text    not null,
    name     text    not null,
    body     blob    not null,
    defined  integer not null
) strict;
