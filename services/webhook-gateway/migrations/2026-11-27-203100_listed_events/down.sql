create index event_log_type on event_log (type, partition, log_offset);
drop index event_log_by_account;
drop index event_log_by_object;
drop index event_log_by_type;
drop index event_log_by_time;
