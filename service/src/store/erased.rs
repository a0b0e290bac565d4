//! What comes in about somebody who was erased. While anything is held under the pseudonym, late news is recorded there
//! without the address: its texts are scrubbed as those before it were, so that a late copy still merges into the failure
//! it tells of, and its raw bytes are not kept. An address of which nothing is held is as unknown as any other.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bounce::address::Address;
use entity::{event, subject, suppression, suppression_change};
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect};

use crate::store::error::StoreError;
use crate::store::identity::Identity;
use crate::store::ids::SubjectId;
use crate::store::record::{Incoming, Keep, ReceiptState};
use crate::store::rows;
use crate::store::scrub::Scrub;

/// Locked subjects by id.
type Subjects = HashMap<SubjectId, subject::Model>;

/// The subjects that were erased and of whom something is held. The others that were erased get their address back: new
/// facts about them are those of a stranger, and lists could not be exported without it.
pub(super) async fn settle<'a>(
    tx: &DatabaseTransaction,
    subjects: &mut Subjects,
    addresses: impl Iterator<Item = (SubjectId, &'a Address)>,
) -> Result<BTreeSet<SubjectId>, StoreError> {
    let mut erased: BTreeSet<SubjectId> = subjects.iter().filter(|(_, it)| it.erased_at.is_some()).map(|(id, _)| *id).collect();
    if erased.is_empty() {
        return Ok(erased);
    }
    let held = held(tx, &erased).await?;
    let strangers: BTreeMap<SubjectId, &Address> = addresses.filter(|(id, _)| erased.contains(id) && !held.contains(id)).collect();
    for (id, address) in strangers {
        restore(tx, subjects, id, address).await?;
        erased.remove(&id);
    }
    Ok(erased)
}

/// Stores the plain address of somebody who was erased again.
pub(super) async fn restore(tx: &DatabaseTransaction, subjects: &mut Subjects, id: SubjectId, address: &Address) -> Result<(), StoreError> {
    let Some(row) = subjects.get_mut(&id).filter(|it| it.erased_at.is_some()) else { return Ok(()) };
    row.address = Some(address.expose().to_owned());
    address.domain().clone_into(&mut row.domain);
    row.erased_at = None;
    let model = subject::ActiveModel {
        id: ActiveValue::Unchanged(id.0.to_vec()),
        address: ActiveValue::Set(row.address.clone()),
        domain: ActiveValue::Set(row.domain.clone()),
        erased_at: ActiveValue::Set(None),
        ..<subject::ActiveModel as Default>::default()
    };
    subject::Entity::update(model).exec(tx).await?;
    Ok(())
}

/// Those of whom there is an event, a standing or a person's word.
pub(super) async fn held(db: &impl ConnectionTrait, subjects: &BTreeSet<SubjectId>) -> Result<BTreeSet<SubjectId>, StoreError> {
    let ids = || subjects.iter().map(|it| it.0.to_vec());
    let events = event::Entity::find().select_only().column(event::Column::SubjectId).filter(event::Column::SubjectId.is_in(ids()));
    let standings = suppression::Entity::find()
        .select_only()
        .column(suppression::Column::SubjectId)
        .filter(suppression::Column::SubjectId.is_in(ids()));
    let acts = suppression_change::Entity::find()
        .select_only()
        .column(suppression_change::Column::SubjectId)
        .filter(suppression_change::Column::SubjectId.is_in(ids()))
        .filter(suppression_change::Column::Act.is_not_null());
    let mut held: Vec<Vec<u8>> = events.distinct().into_tuple().all(db).await?;
    held.extend(standings.distinct().into_tuple::<Vec<u8>>().all(db).await?);
    held.extend(acts.distinct().into_tuple::<Vec<u8>>().all(db).await?);
    held.iter().map(|it| rows::sixteen("subject", it).map(SubjectId)).collect()
}

/// The batch as it may be recorded: what is said about those who were erased without their address.
pub(super) fn scrubbed<'a>(batch: &'a [Incoming], erased: &BTreeSet<SubjectId>, identity: &Identity) -> Cow<'a, [Incoming]> {
    if erased.is_empty() {
        return Cow::Borrowed(batch);
    }
    batch.iter().map(|it| scrubbed_one(it.clone(), erased, identity)).collect::<Vec<_>>().into()
}

fn scrubbed_one(mut incoming: Incoming, erased: &BTreeSet<SubjectId>, identity: &Identity) -> Incoming {
    let mut names_one = incoming.deliveries.iter().any(|it| erased.contains(&identity.subject(&it.address)));
    for fact in incoming.facts.iter_mut().filter(|it| erased.contains(&identity.subject(&it.address))) {
        Scrub::of(&fact.address).testimony(&mut fact.testimony);
        names_one = true;
    }
    // What was not understood is kept whole: it is to be read again, and goes with its own retention.
    if names_one && incoming.keep == Keep::Receipt && incoming.state == ReceiptState::Processed {
        incoming.keep = Keep::Facts;
    }
    incoming
}
