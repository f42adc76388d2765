create table stripe_request (
    op_key            text        primary key,
    http_method       text        not null,
    path              text        not null,
    form_bytes        bytea       not null,
    stripe_version    text        not null,
    account           text        not null default '',
    idempotency_key   text        not null default gen_random_uuid()::text,
    state             text        not null check (state in ('pending', 'sent', 'done', 'unknown')),
    generation        bigint      not null default 1,
    lease_until       timestamptz not null,
    first_sent_at     timestamptz,
    answered_at       timestamptz,
    response_status   int,
    response          bytea,
    stripe_request_id text,
    known_from        timestamptz,
    known_to          timestamptz,
    created_at        timestamptz not null default clock_timestamp(),
    check ((state = 'pending') = (first_sent_at is null)),
    check ((state = 'done') = (response is not null and response_status is not null and answered_at is not null
                               and known_from is not null and known_to is not null))
);

comment on table stripe_request is 'Record: the ledger of mutations at Stripe: each row is committed before its bytes leave';
comment on column stripe_request.op_key is 'The operation''s step, as <claim>:<step> or a natural key';
comment on column stripe_request.path is 'The path with its query, without the API''s base';
comment on column stripe_request.form_bytes is 'The body, exactly as sent each time: form pairs, sorted';
comment on column stripe_request.stripe_version is 'The Stripe-Version header, exactly as sent each time';
comment on column stripe_request.account is 'The connected account acted for; empty for the platform';
comment on column stripe_request.idempotency_key is 'The Idempotency-Key header, the same on every send';
comment on column stripe_request.state is 'pending: not executed for certain; sent: may have been executed; done: answered; unknown: given up for now, to be resent or looked up';
comment on column stripe_request.generation is 'Rises when a lapsed lease is taken over; a sender of an older generation sends no more';
comment on column stripe_request.lease_until is 'Until when the sender may be believed alive, by the database''s clock';
comment on column stripe_request.first_sent_at is 'When the first bytes may have left; 23 hours later nothing is resent, as Stripe may forget the key after 24';
comment on column stripe_request.response is 'The answer''s body as received';
comment on column stripe_request.known_from is 'The earliest time, by Stripe''s clock, that the answer speaks of';
comment on column stripe_request.known_to is 'The latest time, by Stripe''s clock, that the answer speaks of';
