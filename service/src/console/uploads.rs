//! Files that were previewed, kept for the step after: importing what one has seen, without choosing it again. They are few, together
//! no larger than a part of what one import may be, kept for some minutes, and each opens for the session alone that sent it. They lie on this
//! process, in temporary files without names, and are gone with it: another replica does not have them, and says so. Once a file is
//! imported it goes, and what it became is remembered in its place for the same minutes, so that a second click leads there.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bounce::policy::Cause;
use tokio::task::JoinHandle;

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

impl Upload {
    fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.again()?, format: self.format, cause: self.cause })
    }
}

/// What became of a preview.
#[derive(Debug)]
pub(super) enum Step {
    /// Its file is there.
    Previewed(Upload),
    /// It was imported.
    Imported(ImportId),
}

impl Step {
    fn again(&self) -> io::Result<Self> {
        match self {
            Self::Previewed(upload) => upload.again().map(Self::Previewed),
            Self::Imported(import) => Ok(Self::Imported(*import)),
        }
    }

    /// Octets that are kept of it.
    const fn size(&self) -> u64 {
        match self {
            Self::Previewed(upload) => upload.file.size,
            Self::Imported(_) => 0,
        }
    }
}

#[derive(Debug)]
struct Kept {
    preview: ImportId,
    session: Mark,
    until: Instant,
    step: Step,
}

/// The files that this process keeps.
#[derive(Debug, Clone)]
pub(super) struct Uploads {
    most: u64,
    kept_for: Duration,
    kept: Arc<Mutex<VecDeque<Kept>>>,
    /// One at a time goes from preview to import, so that nobody does so twice.
    turns: Arc<tokio::sync::Mutex<()>>,
}

impl Uploads {
    /// None yet; together they may have so many octets.
    pub(super) fn new(most: u64) -> Self {
        Self { most, kept_for: KEPT_FOR, kept: Arc::default(), turns: Arc::default() }
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
        kept.push_back(Kept { preview, session, until: now + self.kept_for, step: Step::Previewed(upload) });
        while kept.len() > AT_MOST || kept.iter().map(|it| it.step.size()).sum::<u64>() > self.most {
            kept.pop_front();
        }
    }

    /// Waits until nobody else imports what was previewed; from then on until it is let go of.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns.lock().await
    }

    /// What became of a preview of that session; a file is to be read from here on, and is kept all the same.
    ///
    /// # Errors
    /// When the file cannot be opened again.
    pub(super) fn find(&self, preview: ImportId, session: Mark, now: Instant) -> io::Result<Option<Step>> {
        let kept = self.at(now);
        let found = kept.iter().find(|it| it.preview == preview && it.session == session);
        found.map(|it| it.step.again()).transpose()
    }

    /// It was imported: the file goes.
    pub(super) fn imported(&self, preview: ImportId, session: Mark, import: ImportId, now: Instant) {
        if let Some(it) = self.at(now).iter_mut().find(|it| it.preview == preview && it.session == session) {
            it.step = Step::Imported(import);
        }
    }

    /// Lets everything of a session go.
    pub(super) fn forget(&self, session: Mark, now: Instant) {
        self.at(now).retain(|it| it.session != session);
    }

    /// Lets go in time of what is kept now, though nobody comes any more.
    pub(super) fn let_go_in_time(&self) -> JoinHandle<()> {
        let uploads = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(uploads.kept_for).await;
            drop(uploads.at(Instant::now()));
        })
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

    impl Uploads {
        fn has(&self, preview: ImportId, session: Mark, now: Instant) -> bool {
            self.find(preview, session, now).unwrap().is_some()
        }
    }

    fn upload(octets: usize) -> Upload {
        let mut spool = Spool::new().unwrap();
        spool.write_all(&vec![b'a'; octets]).unwrap();
        Upload { file: spool.finish().unwrap(), format: None, cause: Some(Cause::Complaint) }
    }

    #[test]
    fn what_a_session_sent_is_given_to_it_alone_until_it_is_imported() {
        let (uploads, preview, now) = (Uploads::new(100), ImportId::new(), Instant::now());
        uploads.keep(preview, MINE, upload(10), now);
        assert!(uploads.has(preview, MINE, now));
        assert!(!uploads.has(preview, OTHER, now) && !uploads.has(ImportId::new(), MINE, now));
        for _ in 0..2 {
            let Some(Step::Previewed(found)) = uploads.find(preview, MINE, now).unwrap() else {
                panic!("whose import fails may try again")
            };
            assert_eq!((found.file.size, found.cause), (10, Some(Cause::Complaint)));
        }
        let import = ImportId::new();
        uploads.imported(preview, OTHER, ImportId::new(), now);
        uploads.imported(preview, MINE, import, now);
        assert!(matches!(uploads.find(preview, MINE, now).unwrap(), Some(Step::Imported(it)) if it == import));
        uploads.keep(ImportId::new(), MINE, upload(100), now);
        assert!(uploads.has(preview, MINE, now), "it takes no room any more");
    }

    #[tokio::test]
    async fn what_nobody_comes_for_is_let_go_of_in_time() {
        let uploads = Uploads { kept_for: Duration::from_millis(1), ..Uploads::new(100) };
        let now = Instant::now();
        uploads.keep(ImportId::new(), MINE, upload(10), now);
        let later = ImportId::new();
        uploads.keep(later, MINE, upload(10), now + KEPT_FOR);
        uploads.let_go_in_time().await.unwrap();
        let kept: Vec<_> = uploads.kept.lock().unwrap().iter().map(|it| it.preview).collect();
        assert_eq!(kept, [later], "without anybody looking");
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
