create table signup (
    user_id text not null,
    generation bigint not null check (generation > 0),
    op_key text not null unique,
    state text not null check (state in ('creating', 'active', 'refused', 'deleted')),
    email text,
    name text,
    stripe_customer_id text unique,
    created_at timestamptz not null,
    primary key (user_id, generation),
    check (state <> 'active' or stripe_customer_id is not null)
);
create unique index signup_live on signup (user_id) where state in ('creating', 'active');
comment on table signup is 'Record: each time a user was given a Stripe customer. At most one row of a user is live (creating or active).';
comment on column signup.generation is 'Counts up when a user whose customer was deleted, or never made, signs up again, so that the new customer has an operation key of its own.';
comment on column signup.op_key is 'The operation''s key in the request ledger, and metadata.op_key of the Stripe customer, by which an event finds the row.';
comment on column signup.state is 'creating: being made at Stripe, or a crash left it so and the next call resumes it. refused: Stripe definitely made none. deleted: deleted at Stripe.';
comment on column signup.email is 'What Stripe is asked to create. A resumed call sends the same.';

create table customer (
    stripe_customer_id text primary key,
    user_id text,
    email text,
    name text,
    deleted boolean not null,
    created_at timestamptz,
    object text not null,
    known_from timestamptz not null,
    known_to timestamptz not null,
    check (known_from <= known_to)
);
comment on table customer is 'Projection: every Stripe customer, as verified events and our own calls showed it last.';
comment on column customer.user_id is 'From metadata.user_id; null where the customer was made by someone else.';
comment on column customer.created_at is 'In Stripe''s clock; null where only the stub of a deleted customer was ever seen.';
comment on column customer.object is 'The whole object as Stripe sent it. Text, since jsonb refuses some well-formed JSON and rewrites the rest.';
comment on column customer.known_from is 'In Stripe''s clock: the state is known to have held from here …';
comment on column customer.known_to is '… to here.';
