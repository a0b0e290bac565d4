//! The policy of a configuration: defaults, with the overrides of `[policy]` and of each root list.

use std::time::Duration;

use bounce::policy::{Policy, PolicyError, Reach, ReasonPolicy};

use crate::config::{self, Config, Lifetime, PolicyOverride, PolicyOverrides};
use crate::store::Policies;

/// The policies of a configuration.
///
/// # Errors
/// When an override makes no sense.
pub fn policies(config: &Config) -> Result<Policies, PolicyError> {
    let default = overridden(&Policy::default(), &config.policy)?;
    let mut by_root = std::collections::BTreeMap::new();
    for list in config.lists.iter().filter(|it| !it.policy.is_empty()) {
        by_root.insert(list.name.root().as_str().to_owned(), overridden(&default, &list.policy)?);
    }
    Ok(Policies { default, by_root })
}

fn overridden(base: &Policy, overrides: &PolicyOverrides) -> Result<Policy, PolicyError> {
    let mut policy = base.clone();
    for (reason, change) in overrides {
        policy.set(*reason, changed(policy.of(*reason), change))?;
    }
    Ok(policy)
}

fn changed(base: ReasonPolicy, change: &PolicyOverride) -> ReasonPolicy {
    ReasonPolicy {
        counts: change.counts.unwrap_or(base.counts),
        strikes: change.strikes.unwrap_or(base.strikes),
        window: change.window.map_or(base.window, signed),
        least_span: change.least_span.map_or(base.least_span, signed),
        lifetime: match change.lifetime {
            None => base.lifetime,
            Some(Lifetime::Permanent) => None,
            Some(Lifetime::For(time)) => Some(signed(time)),
        },
        reach: match change.reach {
            None => base.reach,
            Some(config::Reach::Boundary) => Reach::Boundary,
            Some(config::Reach::List) => Reach::List,
        },
        provisional: base.provisional,
    }
}

fn signed(time: Duration) -> time::Duration {
    time::Duration::try_from(time).unwrap_or(time::Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ListConfig, ListName};
    use bounce::classify::reason::Reason;

    #[test]
    fn a_root_list_has_its_own_policy_over_the_common_one() {
        let mut config = Config::for_testing();
        let strikes = |strikes| PolicyOverride { strikes: Some(strikes), ..PolicyOverride::default() };
        config.policy.insert(Reason::MailboxFull, strikes(3));
        let mut list = ListConfig::new(ListName::parse("acme").unwrap());
        list.policy.insert(Reason::MailboxFull, strikes(2));
        config.lists = vec![list];
        let policies = policies(&config).unwrap();
        assert_eq!(policies.default.of(Reason::MailboxFull).strikes, 3);
        assert_eq!(policies.by_root["acme"].of(Reason::MailboxFull).strikes, 2);
        assert_eq!(policies.by_root["acme"].of(Reason::Expired), policies.default.of(Reason::Expired));
    }

    #[test]
    fn a_policy_against_the_promises_is_refused() {
        let mut config = Config::for_testing();
        config.policy.insert(Reason::SpamContent, PolicyOverride { counts: Some(true), ..PolicyOverride::default() });
        assert!(policies(&config).is_err());
    }
}
