-- What an operator decides about a quarantined delivery: released into the log, or discarded. The row stays for good, so
-- that the same delivery brought again changes nothing.
alter table quarantine
    alter column body drop not null,
    add column state text not null default 'held' check (state in ('held', 'released', 'discarded')),
    add column decided_at timestamptz,
    add column decided_by text,
    add column event_id text,
    add column account text;
create index quarantine_held on quarantine (id) where state = 'held';
comment on column quarantine.state is 'held until an operator decides, then released or discarded, for good.';
comment on column quarantine.decided_by is 'The identity that decided.';
comment on column quarantine.event_id is 'What it is in the log, once it is released; with the account, empty for the platform.';
comment on column quarantine.body is
    'The bytes as they were signed. Null where it was discarded, and where the log has the same bytes since it was released.';

-- Puts a held delivery into the log as the event that its gateway read in it, and records who released it. Returns
-- nothing where it is not held (any more). Call it as one statement in autocommit, as `append_events`, whose lock it takes
-- after the row's own. An event the log has already is not stored again; the delivery counts as released.
create function release_quarantined(
    quarantined_id bigint,
    account text,
    event_id text,
    partition int,
    type text,
    api_version text,
    object_id text,
    key text,
    created timestamptz,
    caller text,
    method text,
    request_sha bytea
) returns table (appended bigint)
language plpgsql volatile
set lock_timeout = '1s'
as $$
#variable_conflict use_variable
declare
    q quarantine;
begin
    select * into q from quarantine r where r.id = quarantined_id and r.state = 'held' for update;
    if not found then
        return;
    end if;
    select count(*) into appended from append_events(
        array[account], array[event_id], array[partition], array[type], array[api_version], array[object_id],
        array[key], array[created], array['webhook'], array[q.endpoint], array[q.secret_name], array[q.signature],
        array[q.traceparent], array[q.body_sha256], array[q.body]
    );
    update quarantine r
    set state = 'released', decided_at = clock_timestamp(), decided_by = caller, account = release_quarantined.account,
        event_id = release_quarantined.event_id,
        body = case when d.body_sha256 = r.body_sha256 then null else r.body end
    from event_dedupe d
    where r.id = quarantined_id and d.account = release_quarantined.account
        and d.event_id = release_quarantined.event_id;
    insert into audit (caller, method, request_sha, subject_kind, subject_id, outcome)
    values (caller, method, request_sha, 'quarantined_delivery', quarantined_id::text, 'released');
    return next;
end
$$;
