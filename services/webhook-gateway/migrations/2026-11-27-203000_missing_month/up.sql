-- An append into a month that has no table makes it, and received_at rises strictly with every append.

-- Makes the log's table for the month of `at`, where there is none; says whether it made it. With its owner's rights, as
-- the application's role may not make tables. The table is made apart and then attached, which does not block appends as
-- `create table … partition of` would.
create function make_month(at timestamptz) returns boolean
language plpgsql
security definer
set timezone = 'UTC'
set lock_timeout = '1s'
as $$
declare
    month timestamptz := date_trunc('month', at);
    name text := 'event_log_' || to_char(month, 'YYYY_MM');
begin
    -- Whoever else makes tables is waited for; this statement's later look sees what they made.
    perform pg_advisory_xact_lock(hashtext('counterfoil.make_partitions.' || current_schema()));
    if to_regclass(quote_ident(name)) is not null then
        return false;
    end if;
    execute format('create table %I (like event_log including all)', name);
    execute format(
        'alter table event_log attach partition %I for values from (%L) to (%L)',
        name, month, month + interval '1 month'
    );
    return true;
end
$$;

-- Makes the monthly tables of the log for the present month and `months_ahead` more. Idempotent.
create or replace function make_partitions(months_ahead int default 3) returns int
language plpgsql
security definer
set timezone = 'UTC'
set lock_timeout = '1s'
as $$
declare
    first timestamptz;
    made int := 0;
begin
    -- The log's own time may be ahead of a clock that was set back.
    select date_trunc('month', greatest(clock_timestamp(), last_at)) into strict first from log_head where id = 1;
    for i in 0 .. least(greatest(months_ahead, 0), 24) loop
        made := made + make_month(first + make_interval(months => i))::int;
    end loop;
    return made;
end
$$;

-- A function with its owner's rights must not look names up where its caller says, nor in temporary tables first.
do $$
begin
    execute format('alter function make_month(timestamptz) set search_path = %I, pg_temp', current_schema());
    execute format('alter function make_partitions(int) set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function make_month(timestamptz) from public;

-- Appends the events that are not in the log yet, in the given order, and returns them by their place `n` in the
-- arrays (from 1) with the partition and offset they got. Call it as one statement in autocommit: then no client holds
-- the head's lock between statements, and a frozen client stops nobody.
--
-- `plan_cache_mode`: a plan made while the table was empty would scan it whole for ever.
create or replace function append_events(
    accounts text[],
    event_ids text[],
    partitions int[],
    types text[],
    api_versions text[],
    object_ids text[],
    keys text[],
    created_times timestamptz[],
    sources text[],
    endpoints text[],
    secret_names text[],
    signatures text[],
    traceparents text[],
    body_sha256s bytea[],
    bodies bytea[]
) returns table (n bigint, partition int, log_offset bigint)
language plpgsql volatile
set lock_timeout = '1s'
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    head log_head;
    now_at timestamptz;
begin
    select * into strict head from log_head where id = 1 for update;
    -- Only now, behind the lock, so that it rises with the offset; strictly, so that a list by time misses nothing either.
    now_at := greatest(clock_timestamp(), head.last_at + interval '1 microsecond');
    -- The gateways make the tables months ahead. Where none did, an event is not lost for it.
    if to_regclass('event_log_' || to_char(now_at at time zone 'UTC', 'YYYY_MM')) is null then
        perform make_month(now_at);
    end if;
    -- Each statement of a volatile function sees what was committed before it began: nothing is missed behind the lock.
    return query
    with fresh as (
        select distinct on (g.account, g.event_id) g.n, g.account, g.event_id, g.partition, g.body_sha256
        from unnest(accounts, event_ids, partitions, body_sha256s)
            with ordinality as g (account, event_id, partition, body_sha256, n)
        where not exists (
            select from event_dedupe d where d.account = g.account and d.event_id = g.event_id
        )
        order by g.account, g.event_id, g.n
    ), numbered as materialized (
        select f.*,
            head.next_offset[f.partition + 1] + row_number() over (partition by f.partition order by f.n) - 1
                as log_offset
        from fresh f
    ), remembered as (
        insert into event_dedupe (account, event_id, partition, log_offset, body_sha256, seen_at)
        select w.account, w.event_id, w.partition, w.log_offset, w.body_sha256, now_at from numbered w
    ), logged as (
        insert into event_log (
            partition, log_offset, received_at, account, event_id, type, api_version, object_id, key, created, source,
            endpoint, secret_name, signature, traceparent, body
        )
        select w.partition, w.log_offset, now_at, w.account, w.event_id, g.type, g.api_version, g.object_id, g.key,
            g.created, g.source, g.endpoint, g.secret_name, g.signature, g.traceparent, g.body
        from numbered w
        join unnest(
            types, api_versions, object_ids, keys, created_times, sources, endpoints, secret_names, signatures,
            traceparents, bodies
        ) with ordinality as g (
            type, api_version, object_id, key, created, source, endpoint, secret_name, signature, traceparent, body, n
        ) on g.n = w.n
    ), counted as (
        select w.partition, count(*) as added from numbered w group by w.partition
    ), advanced as (
        update log_head h
        set last_at = now_at,
            next_offset = (
                select array_agg(o.next_offset + coalesce(c.added, 0) order by o.place)
                from unnest(head.next_offset) with ordinality as o (next_offset, place)
                left join counted c on c.partition + 1 = o.place
            )
        where h.id = 1 and exists (select from numbered)
    )
    select w.n, w.partition, w.log_offset from numbered w order by w.n;
exception
    -- The message is ours, as a client may not see the code: one of the rows is bad, the others may still go in.
    when data_exception or program_limit_exceeded then
        raise exception 'append_events: a row is at fault (%)', sqlstate using errcode = sqlstate;
end
$$;
