//! Free-form dialects: bounces that were written for people. One file for each mail server that needs one.
