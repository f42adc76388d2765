drop table checkpoint;
