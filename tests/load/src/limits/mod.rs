//! What the machine itself can do, measured in the same run: the same rows by plain SQL and by COPY, one transaction for each request, a
//! select by primary key, an HTTP handler that does nothing, messages straight to the broker.

pub(crate) mod handler;
pub(crate) mod pgbench;
pub(crate) mod rows;
