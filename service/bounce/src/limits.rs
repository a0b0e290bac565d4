//! Every bound on input, in one place. Each has a test that goes one past it.
