//! Where messages on this machine come from: files, folders, mbox files, Maildirs and standard input. Everything is
//! listed first, sorted, and then read one message at a time, so that a mailbox of any size fits into memory.

mod mbox;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mbox::Mbox;

/// Octets of one message; what is larger is no bounce.
pub(super) const MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// The path that stands for standard input.
const STDIN: &str = "-";

/// A file, or standard input, that holds one message or many.
#[derive(Debug)]
pub(super) struct Entry {
    shown: Arc<str>,
    place: Place,
    from: Option<Reached>,
}

#[derive(Debug)]
enum Place {
    Stdin,
    File(PathBuf),
    /// A folder that cannot be listed, or a path that leads nowhere.
    Unreadable(io::Error),
}

/// How far a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    /// Its octets so far.
    pub(super) octets: u64,
    /// The messages in them.
    pub(super) messages: usize,
    /// When it was last written to, in nanoseconds.
    pub(super) modified: u64,
}

/// One message, or why there is none.
#[derive(Debug)]
pub(super) struct Found {
    /// Path as given, joined with what was found below it; `#3` behind it for the third message of an mbox file.
    pub(super) path: String,
    /// The same without a number.
    pub(super) file: Arc<str>,
    /// How far the file is read with this message; none of standard input, or where it could not be read.
    pub(super) reached: Option<Reached>,
    /// The message as it came.
    pub(super) content: io::Result<Vec<u8>>,
}

/// Lists what lies at these paths: folders with all that is below them, sorted by name, hidden files left out.
pub(super) fn list(paths: &[PathBuf]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN {
            entries.push(Entry { shown: STDIN.into(), place: Place::Stdin, from: None });
            continue;
        }
        match fs::metadata(path) {
            Ok(it) if it.is_dir() => walk(path, &mut entries),
            Ok(_) => entries.push(Entry::new(path, Place::File(path.clone()))),
            Err(error) => entries.push(Entry::new(path, Place::Unreadable(error))),
        }
    }
    entries
}

fn walk(folder: &Path, entries: &mut Vec<Entry>) {
    let mut names = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(names) => names,
        Err(error) => return entries.push(Entry::new(folder, Place::Unreadable(error))),
    };
    names.sort_by_key(fs::DirEntry::file_name);
    let is_maildir = ["cur", "new"].iter().all(|it| folder.join(it).is_dir());
    for entry in names {
        let (name, path) = (entry.file_name(), entry.path());
        let is_folder = entry.file_type().is_ok_and(|it| it.is_dir());
        let hidden = name.to_string_lossy().starts_with('.');
        // A Maildir keeps its subfolders behind a dot, and half-written messages in `tmp`.
        let wanted = if is_maildir { is_folder && (hidden || name == "cur" || name == "new") } else { !hidden };
        if !wanted {
            continue;
        }
        if is_folder {
            walk(&path, entries);
        } else if fs::metadata(&path).map_or(true, |it| it.is_file()) {
            // A link that leads nowhere is told when it is read; pipes, sockets and linked folders are let be.
            entries.push(Entry::new(&path, Place::File(path.clone())));
        }
    }
}

impl Entry {
    fn new(path: &Path, place: Place) -> Self {
        Self { shown: path.to_string_lossy().into(), place, from: None }
    }

    /// The path as it is shown.
    pub(super) fn path(&self) -> &str {
        &self.shown
    }

    /// Octets of the file; none of standard input.
    pub(super) fn size(&self) -> Option<u64> {
        self.metadata().map(|it| it.len())
    }

    /// Goes on where it was read to before. Whether nothing is left to read of it.
    pub(super) fn go_on(&mut self, from: Reached) -> bool {
        self.from = Some(from);
        self.metadata().is_some_and(|it| it.len() == from.octets && modified(&it) == from.modified)
    }

    fn metadata(&self) -> Option<fs::Metadata> {
        let Place::File(path) = &self.place else { return None };
        fs::metadata(path).ok()
    }

    /// Hands over each message in turn.
    ///
    /// # Errors
    /// Only what the receiver returns; what cannot be read is handed over as such.
    pub(super) fn read<E>(self, mut each: impl FnMut(Found) -> Result<(), E>) -> Result<(), E> {
        let file = self.shown;
        let opened = match self.place {
            Place::Stdin => Ok(Opened { reader: Box::new(BufReader::new(io::stdin())), modified: None, from: None }),
            Place::File(path) => open(&path, self.from),
            Place::Unreadable(error) => Err(error),
        };
        // A folder or a failing disk shows at the first read.
        let opened = opened.and_then(|mut it| it.reader.fill_buf().map(mbox::begins).map(|is_mbox| (it, is_mbox)));
        let (opened, is_mbox) = match opened {
            Ok(it) => it,
            Err(error) => return each(Found { path: file.to_string(), file, reached: None, content: Err(error) }),
        };
        let reached = |octets, messages| opened.modified.map(|modified| Reached { octets, messages, modified });
        if !is_mbox {
            let content = whole(opened.reader);
            let reached = content.as_ref().ok().and_then(|it| reached(it.len() as u64, 1));
            return each(Found { path: file.to_string(), file, reached, content });
        }
        let (messages, octets) = opened.from.map_or((0, 0), |it| (it.messages, it.octets));
        for piece in Mbox::after(opened.reader, MESSAGE_BYTES, messages, octets) {
            let path = if piece.is_alone { file.to_string() } else { format!("{file}#{}", piece.number) };
            let is_cut = piece.content.as_ref().is_err_and(|it| it.kind() != io::ErrorKind::FileTooLarge);
            let reached = if is_cut { None } else { reached(piece.end, piece.number) };
            each(Found { path, file: file.clone(), reached, content: piece.content })?;
        }
        Ok(())
    }
}

/// A file that can be read, and where in it that begins.
struct Opened {
    reader: Box<dyn BufRead>,
    modified: Option<u64>,
    from: Option<Reached>,
}

/// Opens a file where it was read to before. If no message begins there it is another file now, and read as a whole.
fn open(path: &Path, from: Option<Reached>) -> io::Result<Opened> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let modified = metadata.is_file().then(|| modified(&metadata));
    if let Some(from) = from.filter(|it| it.octets < metadata.len()) {
        file.seek(SeekFrom::Start(from.octets))?;
        let mut reader = BufReader::new(file);
        if mbox::begins(reader.fill_buf()?) {
            return Ok(Opened { reader: Box::new(reader), modified, from: Some(from) });
        }
        file = reader.into_inner();
        file.seek(SeekFrom::Start(0))?;
    }
    Ok(Opened { reader: Box::new(BufReader::new(file)), modified, from: None })
}

fn modified(metadata: &fs::Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|it: SystemTime| it.duration_since(UNIX_EPOCH).ok());
    since.and_then(|it| u64::try_from(it.as_nanos()).ok()).unwrap_or_default()
}

fn whole(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MESSAGE_BYTES { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("a message of more than {} MiB is no bounce", MESSAGE_BYTES >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path, given: &[&str]) -> Vec<(String, Option<String>)> {
        let given: Vec<_> = given.iter().map(|it| root.join(it)).collect();
        let mut found = Vec::new();
        for entry in list(&given) {
            let done: Result<(), ()> = entry.read(|it| {
                let path = it.path.strip_prefix(root.to_str().unwrap()).unwrap().trim_start_matches('/').to_owned();
                found.push((path, it.content.ok().map(|it| String::from_utf8(it).unwrap())));
                Ok(())
            });
            done.unwrap();
        }
        found
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn some(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        pairs.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect()
    }

    #[test]
    fn a_folder_is_walked_in_order_without_what_is_hidden() {
        let root =
            folder(&[("m/b.eml", "b"), ("m/a/z.eml", "z"), ("m/a/y", "y"), ("m/.DS_Store", "no"), ("m/.git/x", "no"), ("n.eml", "n")]);
        let expected = some(&[("n.eml", "n"), ("m/a/y", "y"), ("m/a/z.eml", "z"), ("m/b.eml", "b")]);
        assert_eq!(paths(root.path(), &["n.eml", "m/"]), expected);
    }

    #[test]
    fn a_maildir_is_its_messages() {
        let root = folder(&[
            ("box/cur/2:2,S", "seen"),
            ("box/new/1", "new"),
            ("box/tmp/3", "no"),
            ("box/dovecot-uidlist", "no"),
            ("box/.Bounces/cur/4", "sub"),
            ("box/.Bounces/new/5", "sub new"),
        ]);
        let expected =
            some(&[("box/.Bounces/cur/4", "sub"), ("box/.Bounces/new/5", "sub new"), ("box/cur/2:2,S", "seen"), ("box/new/1", "new")]);
        assert_eq!(paths(root.path(), &["box"]), expected);
    }

    #[test]
    fn messages_of_an_mbox_have_numbers_unless_there_is_but_one() {
        let two = "From a Mon Jan  5 10:00:00 2026\nX: 1\n\none\n\nFrom b Mon Jan  5 10:00:00 2026\nX: 2\n\ntwo\n";
        let root = folder(&[("x.mbox", two), ("y.eml", "From a Mon Jan  5 10:00:00 2026\nX: 1\n\none\n")]);
        let expected = some(&[("x.mbox#1", "X: 1\n\none\n"), ("x.mbox#2", "X: 2\n\ntwo\n"), ("y.eml", "X: 1\n\none\n")]);
        assert_eq!(paths(root.path(), &["x.mbox", "y.eml"]), expected);
    }

    #[test]
    fn what_cannot_be_read_does_not_keep_the_rest_from_being_read() {
        let root = folder(&[("a.eml", "a")]);
        assert_eq!(paths(root.path(), &["missing", "a.eml"]), [("missing".to_owned(), None), ("a.eml".to_owned(), Some("a".to_owned()))]);
    }

    #[test]
    fn a_file_is_gone_on_with_unless_it_is_another_one() {
        let message = |number: usize| format!("From a Mon Jan  5 10:00:00 2026\nX: {number}\n\ntext\n\n");
        let root = folder(&[("x.mbox", &(message(1) + &message(2))), ("y.eml", "Y: 1\n")]);
        let read = |name: &str, from: Option<Reached>| {
            let mut entry = list(&[root.path().join(name)]).pop().unwrap();
            let is_done = from.is_some_and(|it| entry.go_on(it));
            let mut found = Vec::new();
            let push = |it| {
                found.push(it);
                Ok::<_, ()>(())
            };
            entry.read(push).unwrap();
            (is_done, found)
        };
        let numbers = |it: &[Found]| it.iter().map(|it| it.reached.unwrap().messages).collect::<Vec<_>>();
        let (_, all) = read("x.mbox", None);
        assert_eq!(numbers(&all), [1, 2]);
        let (is_done, rest) = read("x.mbox", all[0].reached);
        assert_eq!((is_done, numbers(&rest)), (false, vec![2]));
        assert!(read("x.mbox", all[1].reached).0);
        fs::write(root.path().join("x.mbox"), message(1) + &message(2) + &message(3)).unwrap();
        let (is_done, rest) = read("x.mbox", all[1].reached);
        assert_eq!((is_done, numbers(&rest)), (false, vec![3]));
        fs::write(root.path().join("x.mbox"), message(10) + &message(20) + &message(30)).unwrap();
        assert_eq!(numbers(&read("x.mbox", all[1].reached).1), [1, 2, 3], "no message begins there any more");
        let (_, one) = read("y.eml", None);
        assert!(read("y.eml", one[0].reached).0);
        fs::write(root.path().join("y.eml"), "Y: 2, and more\n").unwrap();
        let (is_done, again) = read("y.eml", one[0].reached);
        assert_eq!((is_done, again.len()), (false, 1));
    }

    #[test]
    fn a_message_over_the_limit_is_refused() {
        let content = |size: usize| whole(io::repeat(b'x').take(size as u64));
        assert_eq!(content(MESSAGE_BYTES).unwrap().len(), MESSAGE_BYTES);
        assert_eq!(content(MESSAGE_BYTES + 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
