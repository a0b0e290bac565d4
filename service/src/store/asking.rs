//! What stands for subjects, for those who only ask. Single questions that come while others are being asked wait for one
//! statement together, so that a database that answers thousands of statements a second answers tens of thousands of
//! questions. A question that comes alone is asked at once: nothing ever waits for company.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use entity::suppression;
use sea_orm::sea_query::{Expr, Func};
use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter};
use tokio::sync::oneshot;

use crate::store::error::StoreError;
use crate::store::ids::{ListId, SubjectId};
use crate::store::lists::List;
use crate::store::record::Suppression;
use crate::store::{dialect, rows};

/// Subjects of one statement.
const SUBJECTS_PER_STATEMENT: usize = 4000;
/// Statements on their way at once for single questions. Few: what comes meanwhile makes the next one larger, and a larger
/// one costs less for each question.
const AT_ONCE: usize = 2;
/// How long the database has to answer, tries included.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a statement is made when connections of the pool turn out to be cut.
const TRIES: u32 = 8;

/// What stands for subjects, lifted rows left out.
pub(super) type Standing = HashMap<SubjectId, Vec<Suppression>>;

/// Reads what stands for these subjects on these lists.
pub(super) async fn read(db: &DatabaseConnection, subjects: &[SubjectId], lists: &[ListId]) -> Result<Standing, StoreError> {
    let mut standing = Standing::new();
    for chunk in subjects.chunks(SUBJECTS_PER_STATEMENT) {
        let found = suppression::Entity::find()
            .filter(dialect::among(db, suppression::Column::SubjectId, chunk.iter().map(|it| it.0.to_vec().into())))
            // A test, and nothing to look up by: before Postgres has counted a new table it would rather read a whole list.
            .filter(Expr::from(Func::coalesce([
                dialect::among(db, suppression::Column::ListId, lists.iter().map(|it| it.0.into())),
                false.into(),
            ])))
            .filter(suppression::Column::ReleasedAt.is_null());
        for row in found.all(db).await? {
            let subject = SubjectId(rows::sixteen("suppression", &row.subject_id)?);
            standing.entry(subject).or_default().push(rows::suppression_from_row(row)?);
        }
    }
    Ok(standing)
}

/// The questions of a process about one subject at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Standings {
    desk: Arc<Mutex<Desk>>,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: Vec<Question>,
    /// Statements on their way.
    asking: usize,
}

/// An address and its domain, and who wants to know.
#[derive(Debug)]
struct Question {
    subjects: [SubjectId; 2],
    list: Arc<List>,
    answer: oneshot::Sender<Answer>,
}

/// The rows of the address and those of its domain.
type Answer = Result<[Vec<Suppression>; 2], StoreError>;

impl Standings {
    /// What stands on a list and those above it for an address and for its domain.
    pub(super) async fn of(&self, db: &DatabaseConnection, list: &Arc<List>, subjects: [SubjectId; 2]) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.queue(Question { subjects, list: list.clone(), answer }) {
            let round = Round { desk: self.desk.clone(), is_over: false };
            // A task of its own: whoever asked may lose patience, and others wait for the same statement.
            tokio::spawn(round.go(db.clone()));
        }
        // It is dropped unanswered only when the runtime ends under it.
        answered.await.unwrap_or_else(|_| Err(StoreError::Outage(DbErr::Custom("the question was not asked".to_owned()))))
    }

    /// Puts a question to those that wait; tells whether somebody has to go and ask.
    fn queue(&self, question: Question) -> bool {
        let mut desk = lock(&self.desk);
        desk.waiting.push(question);
        let goes = desk.asking < AT_ONCE;
        desk.asking += usize::from(goes);
        goes
    }
}

/// Somebody who asks what waits, until nothing does.
struct Round {
    desk: Arc<Mutex<Desk>>,
    is_over: bool,
}

impl Round {
    async fn go(mut self, db: DatabaseConnection) {
        while let Some(questions) = self.next() {
            let tries = async {
                for _ in 1..TRIES {
                    match ask(&db, &questions).await {
                        Err(error) if error.is_passing() => {}
                        asked => return asked,
                    }
                }
                ask(&db, &questions).await
            };
            // A connection that the network has swallowed would answer nothing for ever, and no other round could begin.
            let late = |_| Err(StoreError::Outage(DbErr::Custom("the database did not answer in time".to_owned())));
            let asked = tokio::time::timeout(PATIENCE, tries).await.unwrap_or_else(late);
            answer(questions, &asked);
        }
    }

    /// What waits now. With nothing left the round is over, in the same moment, so that no question falls between two.
    fn next(&mut self) -> Option<Vec<Question>> {
        let mut desk = lock(&self.desk);
        // Most of those who lost patience need no answer any more.
        desk.waiting.retain(|it| !it.answer.is_closed());
        if desk.waiting.is_empty() {
            desk.asking -= 1;
            self.is_over = true;
            return None;
        }
        let count = desk.waiting.len().min(SUBJECTS_PER_STATEMENT / 2);
        let rest = desk.waiting.split_off(count);
        Some(std::mem::replace(&mut desk.waiting, rest))
    }
}

impl Drop for Round {
    /// A round that was cut off makes room for another.
    fn drop(&mut self) {
        if !self.is_over {
            lock(&self.desk).asking -= 1;
        }
    }
}

async fn ask(db: &DatabaseConnection, questions: &[Question]) -> Result<Standing, StoreError> {
    let subjects: HashSet<SubjectId> = questions.iter().flat_map(|it| it.subjects).collect();
    let mut lists: Vec<ListId> = Vec::new();
    let mut last: Option<&Arc<List>> = None;
    for question in questions {
        // Most of them ask about the same few lists.
        if last.is_none_or(|it| !Arc::ptr_eq(it, &question.list)) {
            lists.extend(question.list.lineage.iter().filter(|it| !lists.contains(it)).copied().collect::<Vec<_>>());
            last = Some(&question.list);
        }
    }
    read(db, &subjects.into_iter().collect::<Vec<_>>(), &lists).await
}

/// Tells each what stands for it on the lists that it asked about, or all what went wrong.
fn answer(questions: Vec<Question>, asked: &Result<Standing, StoreError>) {
    for Question { subjects, list, answer } in questions {
        let own = |standing: &Standing, subject| -> Vec<Suppression> {
            let all = standing.get(&subject).map(Vec::as_slice).unwrap_or_default();
            all.iter().filter(|it| list.lineage.contains(&it.list)).cloned().collect()
        };
        let told = match asked {
            Ok(standing) => Ok(subjects.map(|it| own(standing, it))),
            Err(error) => Err(error.told_again()),
        };
        // Who has lost patience is not told.
        let _ = answer.send(told);
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
