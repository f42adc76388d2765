create table checkpoint (
    consumer   text        not null,
    partition  int         not null,
    log_offset bigint      not null,
    event_id   text        not null,
    epoch      bigint      not null,
    filter     text[]      not null,
    delivered  bigint      not null default 0,
    applied    bigint      not null default 0,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (consumer, partition)
);

comment on table checkpoint is 'Record: how far each consumer of the event log is; written in the transaction of the effects';
comment on column checkpoint.log_offset is 'The last offset whose effects are committed; what is at or below it is never applied again';
comment on column checkpoint.event_id is 'The event at log_offset, or the empty text where it was passed over by the filter';
comment on column checkpoint.epoch is 'The epoch of the log that log_offset belongs to';
comment on column checkpoint.filter is 'The event types that were asked for up to log_offset, sorted';
comment on column checkpoint.delivered is 'How many events were taken, counted in the transaction of their effects';
comment on column checkpoint.applied is 'How many of them changed a row';
