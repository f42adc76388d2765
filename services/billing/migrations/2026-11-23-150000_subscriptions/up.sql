create table customer_user (
    customer_id text primary key,
    user_id text,
    deleted boolean not null,
    known_from timestamptz not null,
    known_to timestamptz not null
);
create index customer_user_by_user on customer_user (user_id);
comment on table customer_user is 'Projection: which user a Stripe customer stands for, from its metadata. Everything else about a customer is the customer service''s.';
comment on column customer_user.user_id is 'Null where the metadata names no user.';
comment on column customer_user.known_from is 'In Stripe''s clock: the state is known to have held from here …';
comment on column customer_user.known_to is '… to here.';

create table subscription (
    subscription_id text primary key,
    customer_id text not null,
    status text not null,
    cancel_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz not null,
    items text not null,
    object text not null,
    known_from timestamptz not null,
    known_to timestamptz not null
);
create index subscription_by_customer on subscription (customer_id, created_at desc, subscription_id desc);
comment on table subscription is 'Projection: every subscription, as verified events and our own calls showed it last.';
comment on column subscription.status is 'In Stripe''s word. Text, since Stripe may add values.';
comment on column subscription.items is 'The items as JSON of our model. Text, since jsonb refuses some well-formed JSON.';
comment on column subscription.object is 'The whole object as Stripe sent it.';
comment on column subscription.known_from is 'In Stripe''s clock: the state is known to have held from here …';
comment on column subscription.known_to is '… to here.';
