-- Deliveries that contradict the log: an event it has, of the same endpoint and version, with other `data`.
create table event_finding (
    id bigint generated always as identity primary key,
    found_at timestamptz not null default clock_timestamp(),
    account text not null,
    event_id text not null,
    endpoint text not null,
    api_version text not null,
    secret_name text not null,
    signature text not null,
    body_sha256 bytea not null,
    body bytea not null,
    unique (account, event_id, body_sha256)
);
comment on table event_finding is
    'Record: what came for an event the log has, with the same endpoint and version and other data. Kept, never applied.';
comment on column event_finding.body is 'The bytes as they were signed. Those that came first are in the log.';
