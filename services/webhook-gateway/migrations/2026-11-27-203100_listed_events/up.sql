-- What lists of events are found by. received_at rises strictly with each append, so the few rows that share one are
-- sorted as they are read. The index by type and offset was for nothing: streams read a partition whole.
create index event_log_by_time on event_log (received_at);
create index event_log_by_type on event_log (type, received_at);
create index event_log_by_object on event_log (object_id, received_at) where object_id <> '';
create index event_log_by_account on event_log (account, received_at) where account <> '';
drop index event_log_type;
