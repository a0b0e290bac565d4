//! Files that were previewed, kept for the step after: importing what one has seen, without choosing it again. They are few, together
//! no larger than a part of what one import may be, kept for some minutes, and each opens for the session alone that sent it. They lie on this
//! process, in temporary files without names, and are gone with it: another replica does not have them, and says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bounce::policy::Cause;

use crate::console::session::Mark;
use crate::listing::{Format, Spooled};
use crate::store::ImportId;

/// How long a file is kept.
pub(super) const KEPT_FOR: Duration = Duration::from_mins(15);
/// The part of the largest import that they may take together: the rest of the place for temporary files is for those on their way.
pub(super) const SHARE: u64 = 4;
/// Files that are kept at the same time.
const AT_MOST: usize = 16;

/// What was previewed: all that an import takes, but that it is meant.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) file: Spooled,
    pub(super) format: Option<Format>,
    pub(super) cause: Option<Cause>,
}

#[derive(Debug)]
struct Kept {
    preview: ImportId,
    session: Mark,
    until: Instant,
    upload: Upload,
}

/// The files that this process keeps.
#[derive(Debug, Clone)]
pub(super) struct Uploads {
    most: u64,
    kept: Arc<Mutex<VecDeque<Kept>>>,
}

impl Uploads {
    /// None yet; together they may have so many octets.
    pub(super) fn new(most: u64) -> Self {
        Self { most, kept: Arc::default() }
    }

    /// Octets that they may have together.
    pub(super) const fn most(&self) -> u64 {
        self.most
    }

    /// Keeps what a session had previewed, in place of the oldest where there is no room; unless there is none for it at all.
    pub(super) fn keep(&self, preview: ImportId, session: Mark, upload: Upload, now: Instant) {
        let mut kept = self.at(now);
        if upload.file.size > self.most {
            return;
        }
        kept.push_back(Kept { preview, session, until: now + KEPT_FOR, upload });
        while kept.len() > AT_MOST || kept.iter().map(|it| it.upload.file.size).sum::<u64>() > self.most {
            kept.pop_front();
        }
    }

    /// Whether it is there for that session.
    pub(super) fn has(&self, preview: ImportId, session: Mark, now: Instant) -> bool {
        self.at(now).iter().any(|it| it.preview == preview && it.session == session)
    }

    /// Gives it out, once.
    pub(super) fn take(&self, preview: ImportId, session: Mark, now: Instant) -> Option<Upload> {
        let mut kept = self.at(now);
        let place = kept.iter().position(|it| it.preview == preview && it.session == session)?;
        kept.remove(place).map(|it| it.upload)
    }

    /// Lets everything of a session go.
    pub(super) fn forget(&self, session: Mark, now: Instant) {
        self.at(now).retain(|it| it.session != session);
    }

    /// Lets go in time of what is kept now, though nobody comes any more.
    pub(super) fn let_go_in_time(&self) {
        let uploads = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(KEPT_FOR).await;
            drop(uploads.at(Instant::now()));
        });
    }

    /// What is still kept.
    fn at(&self, now: Instant) -> MutexGuard<'_, VecDeque<Kept>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|it| it.until > now);
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::listing::Spool;

    const MINE: Mark = Mark([1; 32]);
    const OTHER: Mark = Mark([2; 32]);

    fn upload(octets: usize) -> Upload {
        let mut spool = Spool::new().unwrap();
        spool.write_all(&vec![b'a'; octets]).unwrap();
        Upload { file: spool.finish().unwrap(), format: None, cause: Some(Cause::Complaint) }
    }

    #[test]
    fn what_a_session_sent_is_given_to_it_alone_and_once() {
        let (uploads, preview, now) = (Uploads::new(100), ImportId::new(), Instant::now());
        uploads.keep(preview, MINE, upload(10), now);
        assert!(uploads.has(preview, MINE, now));
        assert!(!uploads.has(preview, OTHER, now) && uploads.take(preview, OTHER, now).is_none());
        assert!(!uploads.has(ImportId::new(), MINE, now));
        let taken = uploads.take(preview, MINE, now).expect("it is there");
        assert_eq!((taken.file.size, taken.cause), (10, Some(Cause::Complaint)));
        assert!(!uploads.has(preview, MINE, now) && uploads.take(preview, MINE, now).is_none());
    }

    #[test]
    fn it_is_kept_for_minutes_and_until_one_signs_out() {
        let (uploads, preview, now) = (Uploads::new(100), ImportId::new(), Instant::now());
        uploads.keep(preview, MINE, upload(10), now);
        let last = now + KEPT_FOR;
        assert!(uploads.has(preview, MINE, last.checked_sub(Duration::from_secs(1)).unwrap()));
        assert!(!uploads.has(preview, MINE, last));
        assert!(uploads.kept.lock().unwrap().is_empty(), "and the file is gone with it");
        let (mine, others) = (ImportId::new(), ImportId::new());
        uploads.keep(mine, MINE, upload(10), now);
        uploads.keep(others, OTHER, upload(10), now);
        uploads.forget(MINE, now);
        assert!(!uploads.has(mine, MINE, now) && uploads.has(others, OTHER, now));
    }

    #[test]
    fn the_oldest_yields_where_there_is_no_room() {
        let now = Instant::now();
        let (uploads, ids) = (Uploads::new(100), [ImportId::new(), ImportId::new(), ImportId::new()]);
        for (id, octets) in ids.into_iter().zip([40, 60, 1]) {
            uploads.keep(id, MINE, upload(octets), now);
        }
        assert_eq!(ids.map(|it| uploads.has(it, MINE, now)), [false, true, true], "by their octets");
        uploads.keep(ids[0], MINE, upload(101), now);
        assert_eq!(ids.map(|it| uploads.has(it, MINE, now)), [false, true, true], "what is too large by itself takes nobody's place");
        let ids: Vec<_> = (0..=AT_MOST).map(|_| ImportId::new()).collect();
        for id in &ids {
            uploads.keep(*id, MINE, upload(1), now);
        }
        assert_eq!(ids.iter().filter(|it| uploads.has(**it, MINE, now)).count(), AT_MOST, "by their number");
        assert!(!uploads.has(ids[0], MINE, now));
    }
}
