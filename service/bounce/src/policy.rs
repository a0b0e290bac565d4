//! What lists say about an address: a fold over facts.
