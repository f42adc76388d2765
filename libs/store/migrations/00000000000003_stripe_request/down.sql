drop table stripe_request;
