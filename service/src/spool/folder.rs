//! The folder of the spool and what may be done in it. All of it waits for the disk, so nothing here may run on a thread
//! that serves requests. A file appears whole or not at all: written into `tmp/`, forced to the disk, renamed, and the folder
//! forced to the disk too.
//!
//! | | |
//! |---|---|
//! | `tmp/` | being written; what lies here after a crash was never promised |
//! | `new/` | waiting for the database, the oldest name first |
//! | `held/` | of a source or list that is not configured; tried again at the next start |
//! | `failed/` | refused again and again by a database that takes others |
//! | `corrupt/` | files with damage, whole as they were found |

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use uuid::Uuid;

/// Name of the file that whoever empties the folder holds locked.
pub(super) const LOCK: &str = "lock";

/// Where files lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    New,
    Held,
    Failed,
    Corrupt,
}

impl Place {
    pub(super) const ALL: [Self; 4] = [Self::New, Self::Held, Self::Failed, Self::Corrupt];

    const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Name of a file: its seal, which is in the order of time, and what it was made with, so that counting needs no look inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) seal: Uuid,
    pub(super) entries: usize,
    pub(super) bytes: u64,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.seal.simple(), self.entries, self.bytes)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (seal, rest) = text.split_once('.').ok_or(())?;
        let (entries, bytes) = rest.split_once('.').ok_or(())?;
        let seal = Uuid::try_parse(seal).map_err(|_| ())?;
        Ok(Self { seal, entries: entries.parse().map_err(|_| ())?, bytes: bytes.parse().map_err(|_| ())? })
    }
}

/// The folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Held as long as this process may empty the folder.
    lock: Option<File>,
    /// Held while a file is made or the files are counted, so that each is counted once.
    pub(super) counting: Mutex<()>,
}

/// Why the folder cannot be emptied by this process.
#[derive(Debug)]
pub(super) enum Closed {
    InUse,
    Io(io::Error),
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Folder {
    /// Opens the folder to put something into it, making it if it is not there.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let folders = root.ancestors().filter(|it| !it.as_os_str().is_empty());
        let made: Vec<&Path> = folders.take_while(|it| !it.exists()).collect();
        let mut make = DirBuilder::new();
        make.recursive(true).mode(0o700);
        for place in Place::ALL.iter().map(|it| it.as_str()).chain(["tmp"]) {
            make.create(root.join(place))?;
        }
        sync(root)?;
        // The folder itself may be new, and those above it: each stands in the one above. Whoever may not read that one has made nothing in it.
        for folder in made.into_iter().chain([root]) {
            let above = folder.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
            match sync(above) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
        }
        Ok(Self { root: root.to_owned(), lock: None, counting: Mutex::default() })
    }

    /// Opens the folder to empty it as well, which one process at a time may do. What was being written when a process died
    /// goes, what is no file of ours is set aside, what was held is tried again. Tells how many files were set aside.
    pub(super) fn own(root: &Path) -> Result<(Self, usize), Closed> {
        let folder = Self::open(root)?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(root.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Closed::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        for file in std::fs::read_dir(root.join("tmp"))? {
            match std::fs::remove_file(file?.path()) {
                // Another process, which only puts something in, has just finished with it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let mut strangers = 0;
        for file in std::fs::read_dir(folder.path(Place::New))? {
            let file = file?;
            if file.file_name().to_str().is_none_or(|it| it.parse::<Name>().is_err()) {
                std::fs::rename(file.path(), folder.path(Place::Corrupt).join(file.file_name()))?;
                strangers += 1;
            }
        }
        for name in folder.names(Place::Held)? {
            folder.shift(&name, Place::Held, Place::New)?;
        }
        Ok((Self { lock: Some(lock), ..folder }, strangers))
    }

    /// Whether this process may empty it.
    pub(super) const fn is_owned(&self) -> bool {
        self.lock.is_some()
    }

    /// The files of a place, in no order.
    pub(super) fn names(&self, place: Place) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for file in std::fs::read_dir(self.path(place))? {
            names.extend(file?.file_name().to_str().and_then(|it| it.parse::<Name>().ok()));
        }
        Ok(names)
    }

    /// Makes a file. When this fails nothing of it is left.
    pub(super) fn write(&self, place: Place, name: &Name, content: &[u8]) -> io::Result<()> {
        let draft = self.root.join("tmp").join(name.to_string());
        let path = self.path(place).join(name.to_string());
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            sync(&self.path(place))
        })();
        if written.is_err() {
            // The one or the other is there, depending on how far it came; the failure itself is what is told.
            let _ = std::fs::remove_file(&draft);
            let _ = std::fs::remove_file(&path);
        }
        written
    }

    /// What is in a waiting file.
    pub(super) fn read(&self, name: &Name) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(Place::New).join(name.to_string()))
    }

    /// Removes a waiting file. Should it come back after a crash, it changes nothing any more.
    pub(super) fn remove(&self, name: &Name) -> io::Result<()> {
        std::fs::remove_file(self.path(Place::New).join(name.to_string()))
    }

    /// Moves a file.
    pub(super) fn shift(&self, name: &Name, from: Place, to: Place) -> io::Result<()> {
        let name = name.to_string();
        std::fs::rename(self.path(from).join(&name), self.path(to).join(&name))?;
        sync(&self.path(to))?;
        sync(&self.path(from))
    }

    fn path(&self, place: Place) -> PathBuf {
        self.root.join(place.as_str())
    }
}

/// Forces a folder to the disk, with the names in it.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn name(entries: usize) -> Name {
        Name { seal: Uuid::now_v7(), entries, bytes: 3 }
    }

    #[test]
    fn a_name_reads_back() {
        let one = name(7);
        assert_eq!(one.to_string().parse(), Ok(one));
        for wrong in ["", "x", "x.1.2", "0199c0de7a1170008000000000000001.1", ".tmp"] {
            assert_eq!(wrong.parse::<Name>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn only_we_may_read_and_only_one_may_empty_it() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("spool");
        let (owner, strangers) = Folder::own(&root).unwrap();
        assert_eq!(strangers, 0);
        assert!(matches!(Folder::own(&root), Err(Closed::InUse)));
        let guest = Folder::open(&root).unwrap();
        assert!(owner.is_owned() && !guest.is_owned());
        let one = name(1);
        guest.write(Place::New, &one, b"abc").unwrap();
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(root.join("new")), mode(root.join("new").join(one.to_string()))), (0o700, 0o600));
        drop(owner);
        assert!(Folder::own(&root).is_ok());
    }

    #[test]
    fn a_start_clears_up_after_a_crash() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let (held, new) = (name(1), name(2));
        folder.write(Place::Held, &held, b"abc").unwrap();
        folder.write(Place::New, &new, b"def").unwrap();
        std::fs::write(root.path().join("tmp/half"), "h").unwrap();
        std::fs::write(root.path().join("new/notes.txt"), "mine").unwrap();
        let (folder, strangers) = Folder::own(root.path()).unwrap();
        let mut names = folder.names(Place::New).unwrap();
        names.sort();
        assert_eq!((names, strangers), (vec![held, new], 1));
        assert_eq!(std::fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
        assert_eq!(std::fs::read_to_string(root.path().join("corrupt/notes.txt")).unwrap(), "mine");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        std::fs::remove_dir(root.path().join("new")).unwrap();
        assert!(folder.write(Place::New, &name(1), b"abc").is_err());
        assert_eq!(std::fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
    }
}
