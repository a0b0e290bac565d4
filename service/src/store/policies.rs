//! Which policy holds where: a tree of lists may have its own, all others share one.

use std::collections::BTreeMap;

use bounce::policy::Policy;

/// The policies of an installation.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// For trees that have none of their own.
    pub default: Policy,
    /// By name of the root of the tree.
    pub by_root: BTreeMap<String, Policy>,
}

impl Policies {
    /// The policy of the tree that a list belongs to.
    #[must_use]
    pub fn of(&self, list: &str) -> &Policy {
        let root = list.split('.').next().unwrap_or(list);
        self.by_root.get(root).unwrap_or(&self.default)
    }
}
