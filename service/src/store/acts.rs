//! What people do to lists. An act is a fact like any other: it is written down, and the policy is folded again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bounce::address::Address;
use bounce::policy::{Act, Deed};
use entity::suppression_change;
use sea_orm::{DatabaseTransaction, EntityTrait, IntoActiveModel};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::commit::{append, lock_subjects, write_suppressions};
use crate::store::error::{StoreError, bad_row};
use crate::store::history::History;
use crate::store::ids::ChangeId;
use crate::store::lists::List;
use crate::store::messages::{Message, Whereabouts, suppression_changed};
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
    pub acts: &'a [Deed],
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

/// Who acts, where and why; the same for every address that a request names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) list: &'a List,
    pub(super) actor: &'a str,
    pub(super) note: Option<&'a str>,
    /// The bulk request it belongs to.
    pub(super) bulk: Option<Uuid>,
    pub(super) position: i64,
    pub(super) now: OffsetDateTime,
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
        let lifts = |it: &Suppression| it.released_at.is_none() && request.acts.iter().any(|act| act.lifts(it.cause));
        let is_lifting = request.acts.iter().all(|it| it.act.is_lifting());
        if is_lifting && !history.suppressions.iter().any(|it| it.list == request.list.id && lifts(it)) {
            let mut above = history.suppressions.iter().filter(|it| request.list.lineage.contains(&it.list) && it.holds_at(now));
            return Ok(match above.find(|it| lifts(it)) {
                Some(it) => Acted::Inherited { from: self.lists.by_id(&tx, it.list).await?.name.clone() },
                None => Acted::Nothing,
            });
        }
        if !is_lifting {
            // Whoever puts an entry has the address and wants to see it on the list.
            erased::restore(&tx, &mut subjects, subject, request.address).await?;
        }
        let (actor, note) = (rows::without_nul(request.actor), request.note.as_deref().map(rows::without_nul));
        let word = Word { list: &request.list, actor: &actor, note: note.as_deref(), bulk: None, position, now };
        let changes = self.carry_out(&tx, history, request.acts, word).await?;
        let standing = history.suppressions.iter().filter(|it| it.list == request.list.id).cloned().collect();
        write_suppressions(&tx, &histories, &changes, &BTreeSet::new()).await?;
        let address = subjects.get(&subject).and_then(|it| it.address.as_deref());
        let messages = self.messages_of(&tx, &changes, |_| address).await?;
        append(&tx, self.announces, &messages, now).await?;
        tx.commit().await?;
        Ok(Acted::Done { standing, changes })
    }

    /// Writes acts down and decides again; what changed is yet to be written and told. The subject is locked.
    pub(super) async fn carry_out(
        &self,
        tx: &DatabaseTransaction,
        history: &mut History,
        deeds: &[Deed],
        word: Word<'_>,
    ) -> Result<Vec<SuppressionChange>, StoreError> {
        // The clocks of replicas differ; an act comes after everything that was known when it was done.
        let known = history.acts.iter().map(|it| it.at).chain(history.events.iter().map(|it| it.occurred_at)).max();
        let at = known.map_or(word.now, |it| word.now.max(it + time::Duration::MICROSECOND));
        let rows: Vec<SuppressionChange> = deeds.iter().map(|deed| act_row(history, *deed, word, at)).collect();
        let models = rows.iter().map(|it| rows::row_of_change(it).into_active_model());
        suppression_change::Entity::insert_many(models).exec_without_returning(tx).await?;
        history.acts.extend(rows);
        let mut changes = history.decide(self.policies.of(&word.list.name), word.actor, at, word.position);
        for change in &mut changes {
            change.import = word.bulk;
        }
        Ok(changes)
    }

    /// The messages that tell of changes.
    pub(super) async fn messages_of<'a>(
        &self,
        tx: &DatabaseTransaction,
        changes: &[SuppressionChange],
        address: impl Fn(&SuppressionChange) -> Option<&'a str>,
    ) -> Result<Vec<Message>, StoreError> {
        let mut messages = Vec::with_capacity(changes.len());
        for change in changes {
            let list = self.lists.by_id(tx, change.list).await?;
            let whereabouts = Whereabouts { address: address(change), list: &list.name, revision: change.revision };
            messages.push(suppression_changed(change, whereabouts));
        }
        Ok(messages)
    }
}

fn act_row(history: &History, deed: Deed, word: Word<'_>, at: OffsetDateTime) -> SuppressionChange {
    SuppressionChange {
        id: ChangeId::new(),
        position: word.position,
        subject: history.subject,
        list: word.list.id,
        boundary: history.boundary,
        change: Change::Act,
        cause: deed.cause,
        reason: None,
        event: None,
        act: Some(deed.act),
        actor: word.actor.to_owned(),
        note: word.note.map(str::to_owned),
        provisional: false,
        overrides_consent: deed.act == Act::AllowConsent,
        since: None,
        expires_at: deed.expires_at.map(rows::kept),
        released_at: None,
        revision: history.revision,
        import: word.bulk,
        at,
    }
}
