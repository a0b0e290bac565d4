//! The policy in force on a list, and where each value of it comes from.

use actix_web::web;
use bounce::classify::reason::{Fault, Reason};
use bounce::policy::{Policy, Reach, ReasonPolicy};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{Config, PolicyOverride, show_duration};
use crate::http::State;
use crate::http::keys::Caller;
use crate::http::problem::{Problem, ProblemView};
use crate::http::schemas::ListText;
use crate::http::views::{FaultWord, ReasonWord};
use crate::store::List;

/// The policy of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"list": "acme.weekly", "root": "acme", "provisional_for": "7d", "reasons": [
    {"reason": "mailbox_full", "fault": "mailbox", "counts": {"value": "true", "from": "default"}, "strikes": {"value": "3", "from": "[[list]] acme"},
        "window": {"value": "60d", "from": "[policy]"}, "least_span": {"value": "21d", "from": "default"},
        "lifetime": {"value": "90d", "from": "default"}, "reach": {"value": "boundary", "from": "default"}, "provisional": false}]}))]
pub struct PolicyView {
    /// The list.
    pub list: String,
    /// The root of its tree, whose policy it is: facts of a tree are weighed as one.
    pub root: String,
    /// How long a block holds that another day must confirm.
    pub provisional_for: String,
    /// By reason, those that never count included.
    pub reasons: Vec<ReasonRow>,
}

/// What one reason does.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonRow {
    /// The reason.
    #[schema(value_type = ReasonWord)]
    pub reason: Reason,
    /// Whose fault it is. A fault of the sender never counts against an address.
    #[schema(value_type = FaultWord)]
    pub fault: Fault,
    /// Whether such failures count against the address.
    pub counts: Sourced,
    /// Soft failures, on as many days, that block. A hard failure blocks at once.
    pub strikes: Sourced,
    /// Within which they lie.
    pub window: Sourced,
    /// From the first to the last, at least.
    pub least_span: Sourced,
    /// How long the block holds, or `permanent`. It doubles each time a soft block has ended and the address fails again.
    pub lifetime: Sourced,
    /// `boundary`: the whole tree; `list`: the list and those below it.
    pub reach: Sourced,
    /// Whether even a hard failure from a good source must be confirmed on another day.
    pub provisional: bool,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sourced {
    /// The value, as it is written in the configuration.
    #[schema(example = "60d")]
    pub value: String,
    /// `default`, `[policy]`, or the root list in whose section it stands: `[[list]] acme`.
    #[schema(example = "[policy]")]
    pub from: String,
}

/// Tells the policy in force on a list: for each reason when it blocks an address, for how long and how far; and where each value
/// comes from.
#[utoipa::path(get, path = "/v1/lists/{list}/policy", tag = "suppressions", security(("bearer" = ["read"])),
    params(("list" = ListText, Path, example = "acme.weekly")),
    responses(
        (status = 200, description = "the policy", body = PolicyView),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_policy(state: web::Data<State>, caller: Caller, path: web::Path<String>) -> Result<web::Json<PolicyView>, Problem> {
    let list = caller.list(&state.store, &path).await?;
    Ok(web::Json(PolicyView::new(&list, state.store.policy(&list), &state.config)))
}

impl PolicyView {
    /// The policy of a list under a configuration.
    #[must_use]
    pub fn new(list: &List, policy: &Policy, config: &Config) -> Self {
        let root = list.name.split('.').next().unwrap_or(&list.name);
        let own = config.lists.iter().find(|it| it.name.as_str() == root && !it.policy.is_empty());
        let row = |reason: &Reason| {
            let common = config.policy.get(reason).map_or_else(Vec::new, PolicyOverride::keys);
            let of_tree = own.and_then(|it| it.policy.get(reason)).map_or_else(Vec::new, PolicyOverride::keys);
            let from = |key: &str| match (of_tree.contains(&key), common.contains(&key)) {
                (true, _) => format!("[[list]] {root}"),
                (false, true) => "[policy]".to_owned(),
                (false, false) => "default".to_owned(),
            };
            ReasonRow::new(*reason, policy.of(*reason), from)
        };
        Self {
            list: list.name.clone(),
            root: root.to_owned(),
            provisional_for: shown(policy.provisional_for),
            reasons: Reason::ALL.iter().map(row).collect(),
        }
    }
}

impl ReasonRow {
    fn new(reason: Reason, it: ReasonPolicy, from: impl Fn(&str) -> String) -> Self {
        let sourced = |key: &str, value: String| Sourced { value, from: from(key) };
        let reach = match it.reach {
            Reach::Boundary => "boundary",
            Reach::List => "list",
        };
        Self {
            reason,
            fault: reason.fault(),
            counts: sourced("counts", it.counts.to_string()),
            strikes: sourced("strikes", it.strikes.to_string()),
            window: sourced("window", shown(it.window)),
            least_span: sourced("least_span", shown(it.least_span)),
            lifetime: sourced("lifetime", it.lifetime.map_or_else(|| "permanent".to_owned(), shown)),
            reach: sourced("reach", reach.to_owned()),
            provisional: it.provisional,
        }
    }

    /// The values that the configuration has changed: each with its key, value and where it stands.
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, &Sourced)> {
        let all = [
            ("counts", &self.counts),
            ("strikes", &self.strikes),
            ("window", &self.window),
            ("least_span", &self.least_span),
            ("lifetime", &self.lifetime),
            ("reach", &self.reach),
        ];
        all.into_iter().filter(|(_, it)| it.from != "default")
    }
}

fn shown(time: time::Duration) -> String {
    show_duration(time.try_into().unwrap_or_default())
}
