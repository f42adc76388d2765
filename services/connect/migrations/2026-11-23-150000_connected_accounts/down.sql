drop table connected_account;
