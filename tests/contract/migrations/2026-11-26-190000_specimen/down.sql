drop table specimen;
