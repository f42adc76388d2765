comment on column claim.state is null;
drop index stripe_request_claim;
drop index claim_released;
drop index claim_expires;
drop index claim_running;
alter table claim
    drop column next_try_at,
    drop column tries,
    drop column released_at;
