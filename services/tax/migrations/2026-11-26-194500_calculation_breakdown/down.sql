alter table calculation drop column breakdown;
