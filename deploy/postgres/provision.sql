-- What PostgreSQL's administrator does once for each database: a schema for each service, the role that owns and
-- migrates it, and the role the service works as. Tables and the rights on them are made by `counterfoil-<service> migrate`.
--
--   psql -X "$ADMIN_URL" -f deploy/postgres/provision.sql
--
-- Passwords come from the environment, COUNTERFOIL_<SERVICE>_OWNER_PASSWORD and COUNTERFOIL_<SERVICE>_APP_PASSWORD
-- (COUNTERFOIL_WEBHOOK_GATEWAY_OWNER_PASSWORD, …), so that they stand on no command line. They are sent in statements, which
-- a server may log: each may be a verifier ("SCRAM-SHA-256$…") in place of the password itself. Run again, the script sets
-- the passwords anew and changes nothing else.
--
-- Roles belong to the server, not to a database: where one server holds two suites, `-v prefix=staging_` keeps theirs
-- apart. psql 14 or newer.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?prefix} \else \set prefix '' \endif

begin;
set local client_min_messages = warning;
-- Two may run at once. The lock is the one that `counterfoil-dev` takes.
select pg_advisory_xact_lock(hashtextextended('counterfoil provision', 0)) \g /dev/null

\set schema webhook_gateway
\getenv owner_password COUNTERFOIL_WEBHOOK_GATEWAY_OWNER_PASSWORD
\getenv app_password COUNTERFOIL_WEBHOOK_GATEWAY_APP_PASSWORD
\ir service.sql

\set schema customer
\getenv owner_password COUNTERFOIL_CUSTOMER_OWNER_PASSWORD
\getenv app_password COUNTERFOIL_CUSTOMER_APP_PASSWORD
\ir service.sql

\set schema billing
\getenv owner_password COUNTERFOIL_BILLING_OWNER_PASSWORD
\getenv app_password COUNTERFOIL_BILLING_APP_PASSWORD
\ir service.sql

\set schema tax
\getenv owner_password COUNTERFOIL_TAX_OWNER_PASSWORD
\getenv app_password COUNTERFOIL_TAX_APP_PASSWORD
\ir service.sql

\set schema connect
\getenv owner_password COUNTERFOIL_CONNECT_OWNER_PASSWORD
\getenv app_password COUNTERFOIL_CONNECT_APP_PASSWORD
\ir service.sql

commit;
