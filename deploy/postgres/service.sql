-- One service's part of provision.sql: :schema, :owner_password and :app_password are set, and forgotten at the end, so
-- that no service ever gets the password of the one before it.

\set owner :prefix :schema _owner
\set app :prefix :schema _app

\if :{?owner_password} \else \set owner_password '' \endif
\if :{?app_password} \else \set app_password '' \endif
select :'owner_password' = '' or :'app_password' = '' as missing \gset
\if :missing
    select 'COUNTERFOIL_' || upper(:'schema') as variable \gset
    \warn missing :variable'_OWNER_PASSWORD' or :variable'_APP_PASSWORD'
    -- psql has no other way to end with an error.
    do $$ begin raise exception 'a password is missing from the environment'; end $$;
\endif

select format('create role %I', name)
from (values (:'owner'), (:'app')) as role (name)
where not exists (select from pg_roles where rolname = name) \gexec

alter role :"owner" login password :'owner_password';
alter role :"app" login password :'app_password';

-- Only a member may give a schema away, and an administrator who is no superuser is none.
select format('grant %I to current_user', :'owner')
where not (select rolsuper from pg_roles where rolname = current_user) \gexec

create schema if not exists :"schema" authorization :"owner";
grant usage on schema :"schema" to :"app";

\unset owner_password
\unset app_password
