create table connected_account (
    account_id text primary key,
    country_code text,
    details_submitted boolean not null,
    charges_enabled boolean not null,
    payouts_enabled boolean not null,
    created_at timestamptz,
    object text not null,
    known_from timestamptz not null,
    known_to timestamptz not null,
    check (known_from <= known_to)
);
comment on table connected_account is 'Projection: every connected account, as verified events and our own calls showed it last.';
comment on column connected_account.charges_enabled is 'Whether the account can take payments now. May become false again, as may payouts_enabled.';
comment on column connected_account.created_at is 'In Stripe''s clock; null where Stripe names no time.';
comment on column connected_account.object is 'The whole object as Stripe sent it. Text, since jsonb refuses some well-formed JSON and rewrites the rest.';
comment on column connected_account.known_from is 'In Stripe''s clock: the state is known to have held from here …';
comment on column connected_account.known_to is '… to here.';
