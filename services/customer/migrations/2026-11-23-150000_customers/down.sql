drop table customer;
drop table signup;
