//! What people do to lists. An act is a fact like any other: it is written down, and the policy is folded again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bounce::address::Address;
use bounce::policy::{Act, Cause};
use entity::suppression_change;
use sea_orm::{EntityTrait, IntoActiveModel};
use time::OffsetDateTime;

use crate::store::commit::{append, lock_subjects, write_suppressions};
use crate::store::error::{StoreError, bad_row};
use crate::store::history::lifts;
use crate::store::ids::ChangeId;
use crate::store::lists::List;
use crate::store::messages::{Whereabouts, suppression_changed};
use crate::store::record::{Change, Suppression, SuppressionChange};
use crate::store::{Store, dialect, erased, load, rows};

/// What a person wants done.
#[derive(Debug, Clone)]
pub struct ActRequest<'a> {
    /// Where.
    pub list: Arc<List>,
    /// To whom: an address or a domain entry.
    pub address: &'a Address,
    /// What.
    pub acts: &'a [Act],
    /// Who; the name of the API key.
    pub actor: &'a str,
    /// Why.
    pub note: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// Done; what stands at the list now, and what changed.
    Done {
        /// What stands at the list now, lifted rows included.
        standing: Vec<Suppression>,
        /// What changed.
        changes: Vec<SuppressionChange>,
    },
    /// Nothing stands at this list that could be lifted, but it is blocked from a list above.
    Inherited {
        /// Name of the list where it stands.
        from: String,
    },
    /// Nothing stands here that could be lifted.
    Nothing,
}

impl Store {
    /// Writes down what a person did, and what follows from it.
    ///
    /// # Errors
    /// When the database is away; nothing is then written.
    pub async fn act(&self, request: ActRequest<'_>, now: OffsetDateTime) -> Result<Acted, StoreError> {
        let now = rows::kept(now);
        let subject = self.identity.subject(request.address);
        let tx = dialect::begin(&self.db).await?;
        let position = dialect::position(&tx).await?;
        let mut subjects = lock_subjects(&tx, std::iter::once((subject, request.address)), now).await?;
        let pair = (request.list.boundary, subject);
        let mut histories = load::histories(&tx, &self.lists, &BTreeSet::from([pair]), &subjects).await?;
        let history = histories.get_mut(&pair).ok_or_else(|| bad_row("subject", "a locked subject is not there"))?;
        // The clocks of replicas differ; an act comes after everything that was known when it was done.
        let known = history.acts.iter().map(|it| it.at).chain(history.events.iter().map(|it| it.occurred_at)).max();
        let now = known.map_or(now, |it| now.max(it + time::Duration::MICROSECOND));
        let lifting = request.acts.iter().all(|it| Cause::ALL.iter().any(|cause| lifts(*it, *cause)));
        let could_lift = |it: &&Suppression| it.released_at.is_none() && request.acts.iter().any(|act| lifts(*act, it.cause));
        if lifting && !history.suppressions.iter().filter(could_lift).any(|it| it.list == request.list.id) {
            let above =
                history.suppressions.iter().filter(could_lift).find(|it| request.list.lineage.contains(&it.list) && it.holds_at(now));
            return Ok(match above {
                Some(it) => Acted::Inherited { from: self.lists.by_id(&tx, it.list).await?.name.clone() },
                None => Acted::Nothing,
            });
        }
        if !lifting {
            // Whoever puts an entry has the address and wants to see it on the list.
            erased::restore(&tx, &mut subjects, subject, request.address).await?;
        }
        for act in request.acts {
            let row = act_row(&request, *act, subject, position, history.revision, now);
            suppression_change::Entity::insert(rows::row_of_change(&row).into_active_model()).exec_without_returning(&tx).await?;
            history.acts.push(row);
        }
        let changes = history.decide(self.policies.of(&request.list.name), request.actor, now, position);
        let standing = history.suppressions.iter().filter(|it| it.list == request.list.id).cloned().collect();
        write_suppressions(&tx, &histories, &changes).await?;
        let address = subjects.get(&subject).and_then(|it| it.address.as_deref());
        let mut messages = Vec::new();
        for change in &changes {
            let list = self.lists.by_id(&tx, change.list).await?;
            messages.push(suppression_changed(change, Whereabouts { address, list: &list.name, revision: change.revision }));
        }
        append(&tx, self.announces, &messages, now).await?;
        tx.commit().await?;
        Ok(Acted::Done { standing, changes })
    }
}

fn act_row(
    request: &ActRequest<'_>,
    act: Act,
    subject: crate::store::ids::SubjectId,
    position: i64,
    revision: i64,
    now: OffsetDateTime,
) -> SuppressionChange {
    SuppressionChange {
        id: ChangeId::new(),
        position,
        subject,
        list: request.list.id,
        boundary: request.list.boundary,
        change: Change::Act,
        cause: None,
        reason: None,
        event: None,
        act: Some(act),
        actor: rows::without_nul(request.actor),
        note: request.note.as_deref().map(rows::without_nul),
        provisional: false,
        overrides_consent: act == Act::AllowConsent,
        since: None,
        expires_at: None,
        released_at: None,
        revision,
        import: None,
        at: now,
    }
}
