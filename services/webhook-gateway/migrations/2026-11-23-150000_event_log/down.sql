drop function make_partitions(int);
drop function append_events(
    text[], text[], int[], text[], text[], text[], text[], timestamptz[], text[], text[], text[], text[], text[],
    bytea[], bytea[]
);
drop table quarantine;
drop table log_head;
drop table event_log;
drop table event_dedupe;
