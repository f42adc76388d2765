drop table event_finding;
