-- Null for what was recorded before, and by an instance of the release before while both run.
alter table calculation add column breakdown text;
comment on column calculation.breakdown is 'The tax by rate as JSON of our model. Text, since jsonb refuses some well-formed JSON. Null where it was not kept.';
