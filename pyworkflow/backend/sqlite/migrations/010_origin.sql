-- The run that began the process, where that is another one; and with the id of each signal, so that a repeat is known in all runs of the process.
alter table process add column origin integer;
alter table signal_receipt add column origin integer;
update signal_receipt set origin = key;
create index signal_receipt_origin on signal_receipt (origin, id);
