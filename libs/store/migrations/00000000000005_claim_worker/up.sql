alter table claim
    add column released_at timestamptz,
    add column tries       int not null default 0,
    add column next_try_at timestamptz;

-- What lapsed before there was a worker stays its caller's.
update claim set released_at = clock_timestamp() where state = 'running' and lease_until <= clock_timestamp();

-- The keys alone, so that a renewal of a lease touches no index.
create index claim_running on claim (caller, method, key) where state = 'running' and released_at is null;
create index claim_expires on claim (expires_at) where state = 'finished';
create index claim_released on claim (released_at) where released_at is not null;
create index stripe_request_claim on stripe_request (split_part(op_key, ':', 1));

comment on column claim.state is 'running: owned, to be taken over once lease_until has passed, or released; finished: answered';
comment on column claim.released_at is 'When its last owner gave it up as nothing had happened; null while owned, and where something may have happened. The worker leaves a released claim to its caller';
comment on column claim.tries is 'How often the worker took it up';
comment on column claim.next_try_at is 'The worker does not take it up before; null until it first has';
