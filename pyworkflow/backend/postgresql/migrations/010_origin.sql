-- The run that began the process, where that is another one; and with the id of each signal, so that a repeat is known in all runs of the process.
alter table {schema}.process add column origin bigint;
alter table {schema}.signal_receipt add column origin bigint;
update {schema}.signal_receipt set origin = key;
create index signal_receipt_origin on {schema}.signal_receipt (origin, id);
