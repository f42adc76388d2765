drop table calculation;
