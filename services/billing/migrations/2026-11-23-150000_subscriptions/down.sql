drop table subscription;
drop table customer_user;
