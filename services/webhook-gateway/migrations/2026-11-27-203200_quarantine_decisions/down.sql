-- Tombstones cannot be held by the table of before.
drop function release_quarantined(
    bigint, text, text, int, text, text, text, text, timestamptz, text, text, bytea
);
delete from quarantine where body is null;
alter table quarantine
    drop column account,
    drop column event_id,
    drop column decided_by,
    drop column decided_at,
    drop column state,
    alter column body set not null;
