//! The program `rebound`.

fn main() {}
