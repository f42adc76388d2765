create table specimen (
    specimen_id text primary key,
    user_id text not null,
    title text not null,
    return_url text not null,
    account_number text not null,
    metadata text not null,
    created_at timestamptz not null
);
create index specimen_by_user on specimen (user_id, created_at desc, specimen_id desc);
comment on table specimen is 'Record: every specimen.';
comment on column specimen.metadata is 'A JSON object. Text, since jsonb refuses some well-formed JSON.';
