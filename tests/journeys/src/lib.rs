//! Stories through the whole suite.
