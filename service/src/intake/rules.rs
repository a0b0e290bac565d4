//! The rules in force. They change while messages are read: whoever judges takes those of the moment and keeps them to the
//! end, so that no message is judged by two sets.

use std::sync::{Arc, PoisonError, RwLock};

use bounce::classify::Rules;

/// A place for the rules that all edges share; a clone is the same place.
#[derive(Debug, Clone)]
pub struct RulesInForce(Arc<RwLock<Arc<Rules>>>);

impl RulesInForce {
    /// A place with these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// The rules of this moment.
    #[must_use]
    pub fn now(&self) -> Arc<Rules> {
        // Nothing that can panic is done under the lock, so what it holds is whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others in their place. What is being judged keeps those it began with.
    pub fn replace(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}
