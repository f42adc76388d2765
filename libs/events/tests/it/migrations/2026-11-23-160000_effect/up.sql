create table effect (id bigint generated always as identity primary key, event_id text not null);
