create table calculation (
    calculation_id text primary key,
    currency_code text not null,
    total bigint not null,
    exclusive_tax bigint not null,
    inclusive_tax bigint not null,
    expires_at timestamptz,
    created_at timestamptz not null
);
comment on table calculation is 'Record: every calculation made, so that a later call can commit it. The address is Stripe''s to keep.';
comment on column calculation.total is 'In minor units of the currency, as are exclusive_tax and inclusive_tax; tax included.';
comment on column calculation.expires_at is 'Stripe''s: when it can no longer be committed. Null where Stripe names no time.';
comment on column calculation.created_at is 'When we recorded it.';
