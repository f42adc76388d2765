create table audit (
    id              bigint      generated always as identity primary key,
    at              timestamptz not null default clock_timestamp(),
    caller          text        not null,
    method          text        not null,
    idempotency_key uuid,
    request_sha     bytea       not null check (length(request_sha) = 32),
    subject_kind    text        not null,
    subject_id      text        not null,
    outcome         text        not null
);

comment on table audit is 'Record: one row per admin call, written in its transaction; the app role can add rows and change none';
comment on column audit.id is 'Rises with time, but two calls at once may commit in the other order';
comment on column audit.at is 'When, by the database''s clock';
comment on column audit.caller is 'The identity that called';
comment on column audit.method is 'The RPC, as package.Service/Method';
comment on column audit.idempotency_key is 'The caller''s idempotency key, where the RPC takes one';
comment on column audit.request_sha is 'SHA-256 of the request in a deterministic encoding; the request itself may hold personal data';
comment on column audit.subject_kind is 'What kind of thing the call was about, such as customer or partition';
comment on column audit.subject_id is 'Its id';
comment on column audit.outcome is 'What came of it, in a word or two, such as released or refunded; nothing personal';
