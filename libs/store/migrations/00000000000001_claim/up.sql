create table claim (
    caller      text        not null,
    method      text        not null,
    key         uuid        not null,
    request_sha bytea       not null,
    request     bytea       not null,
    state       text        not null check (state in ('running', 'finished')),
    generation  bigint      not null default 1,
    lease_until timestamptz not null,
    response    bytea,
    created_at  timestamptz not null default clock_timestamp(),
    expires_at  timestamptz,
    primary key (caller, method, key),
    check ((state = 'finished') = (response is not null)),
    check ((state = 'finished') = (expires_at is not null))
);

comment on table claim is 'Record: one row per idempotency key: who asked what, and the answer that every repeat gets';
comment on column claim.caller is 'The identity that called';
comment on column claim.method is 'The RPC, as package.Service/Method';
comment on column claim.key is 'The caller''s idempotency key';
comment on column claim.request_sha is 'SHA-256 of request';
comment on column claim.request is 'The request in a deterministic encoding';
comment on column claim.generation is 'Rises when a lapsed lease is taken over; an owner of an older generation can record nothing';
comment on column claim.lease_until is 'Until when the owner may be believed alive, by the database''s clock; meaningless once finished';
comment on column claim.response is 'The final answer as JSON';
comment on column claim.expires_at is 'The answer is kept at least until then';
