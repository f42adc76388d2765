create table customer (
    stripe_customer_id text primary key,
    user_id            text not null,
    email              text not null,
    name               text not null
);
comment on table customer is 'What the benchmark reads by its primary key';
insert into customer
    select 'cus_' || n, 'user-' || n, 'user-' || n || '@example.com', 'User ' || n from generate_series(0, 9999) n;
