//! A session with an IMAP server (RFC 3501): one command after the other, each with its answer. What a server tells beside an
//! answer is kept where it matters: whether there are new messages, what it can do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Told, Verdict, answer};
use super::error::{MailboxError, quoted};
use super::name::{folder, quoted as text};
use super::wire::{Stream, Wire, shut};

/// A session.
#[derive(Debug)]
pub(super) struct Client {
    wire: Wire,
    commands: u64,
    capabilities: Option<BTreeSet<String>>,
    /// Messages in the folder, as far as the server has told.
    messages: u32,
    /// Whether it has told of more than there were.
    news: bool,
}

/// What a folder is like.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// While this is the same, the numbers of messages are.
    pub(super) validity: u32,
    flags: Vec<String>,
    is_read_only: bool,
}

impl Selected {
    /// Whether a flag that is set stays.
    pub(super) fn keeps(&self, flag: &str) -> bool {
        self.flags.iter().any(|it| it == "\\*" || it.eq_ignore_ascii_case(flag))
    }

    /// Whether nothing in it can be changed.
    pub(super) const fn is_read_only(&self) -> bool {
        self.is_read_only
    }
}

/// How IDLE ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// There are new messages.
    News,
    /// The time is over, or it was told to stop.
    Over,
}

impl Client {
    /// Begins a session on a connection.
    pub(super) const fn new(wire: Wire) -> Self {
        Self { wire, commands: 0, capabilities: None, messages: 0, news: false }
    }

    /// Reads what a server says first.
    pub(super) async fn greeted(&mut self) -> Result<(), MailboxError> {
        match answer(&self.wire.read().await?) {
            Answer::Told(Told::Bye(text)) => Err(MailboxError::Bye(quoted(&text))),
            // What it can do comes again when it is asked for, with more to it.
            Answer::Told(_) => Ok(()),
            Answer::Done { .. } | Answer::GoOn => Err(MailboxError::NotOffered("greeting of IMAP")),
        }
    }

    /// Whether the server can do something, in upper case.
    pub(super) async fn can(&mut self, capability: &str) -> Result<bool, MailboxError> {
        if self.capabilities.is_none() {
            let mut found = BTreeSet::new();
            let told = |it| {
                if let Told::Capabilities(all) = it {
                    found.extend(all);
                }
            };
            self.run("CAPABILITY", "CAPABILITY", told).await?;
            self.capabilities = Some(found);
        }
        Ok(self.capabilities.as_ref().is_some_and(|it| it.contains(capability)))
    }

    /// Asks for protection, and gives the connection to whoever makes it.
    pub(super) async fn start_tls(mut self) -> Result<Box<dyn Stream>, MailboxError> {
        if !self.can("STARTTLS").await? {
            return Err(MailboxError::NotOffered("STARTTLS"));
        }
        self.run("STARTTLS", "STARTTLS", drop).await?;
        self.wire.into_stream()
    }

    /// Logs in by a mechanism of SASL (RFC 3501, section 6.2.2) with one answer. A second question is how XOAUTH2 says what is
    /// wrong; it wants an empty answer.
    pub(super) async fn authenticate(&mut self, mechanism: &str, secret: &str) -> Result<(), MailboxError> {
        let tag = self.begin(&format!("AUTHENTICATE {mechanism}")).await?;
        let mut reply = Some(BASE64.encode(secret.as_bytes()));
        loop {
            match self.next().await? {
                Answer::GoOn => self.wire.send(&reply.take().unwrap_or_default()).await?,
                Answer::Done { tag: of, verdict, text, .. } if of == tag => return self.logged_in(verdict, &text),
                Answer::Done { .. } | Answer::Told(_) => {}
            }
        }
    }

    /// Logs in with a name and a password.
    pub(super) async fn login(&mut self, user: &str, password: &str) -> Result<(), MailboxError> {
        if self.can("AUTH=PLAIN").await? {
            return self.authenticate("PLAIN", &format!("\0{user}\0{password}")).await;
        }
        if self.can("LOGINDISABLED").await? {
            return Err(MailboxError::NotOffered("login with a password"));
        }
        let (Some(user), Some(password)) = (text(user), text(password)) else {
            return Err(MailboxError::NotOffered("login with a password of such characters"));
        };
        match self.run("LOGIN", &format!("LOGIN {user} {password}"), drop).await {
            Err(MailboxError::Refused { text, .. }) => self.logged_in(Verdict::No, &text),
            other => other.and_then(|()| self.logged_in(Verdict::Ok, "")),
        }
    }

    fn logged_in(&mut self, verdict: Verdict, text: &str) -> Result<(), MailboxError> {
        self.capabilities = None;
        if verdict == Verdict::Ok { Ok(()) } else { Err(MailboxError::Login(quoted(text))) }
    }

    /// Opens a folder.
    pub(super) async fn select(&mut self, name: &str) -> Result<Selected, MailboxError> {
        let mut selected = Selected::default();
        let told = |it| match it {
            Told::UidValidity(it) => selected.validity = it,
            Told::PermanentFlags(it) => selected.flags = it,
            Told::ReadOnly => selected.is_read_only = true,
            _ => {}
        };
        self.run("SELECT", &format!("SELECT {}", folder(name)), told).await?;
        Ok(selected)
    }

    /// Opens a folder for reading only (RFC 3501, section 6.3.2): nothing in it changes.
    pub(super) async fn examine(&mut self, name: &str) -> Result<(), MailboxError> {
        self.run("EXAMINE", &format!("EXAMINE {}", folder(name)), drop).await
    }

    /// Makes sure that there is a folder of that name.
    pub(super) async fn ensure_folder(&mut self, name: &str) -> Result<(), MailboxError> {
        let name = folder(name);
        let mut is_there = false;
        self.run("LIST", &format!("LIST \"\" {name}"), |it| is_there |= it == Told::Folder).await?;
        if is_there { Ok(()) } else { self.run("CREATE", &format!("CREATE {name}"), drop).await }
    }

    /// The numbers of messages that fit a query, the lowest first.
    pub(super) async fn search(&mut self, query: &str) -> Result<BTreeSet<u32>, MailboxError> {
        let mut uids = BTreeSet::new();
        let told = |it| {
            if let Told::Found(found) = it {
                uids.extend(found);
            }
        };
        self.run("SEARCH", &format!("UID SEARCH {query}"), told).await?;
        Ok(uids)
    }

    /// How large messages are; those that are gone are left out.
    pub(super) async fn sizes(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, usize>, MailboxError> {
        let mut sizes = BTreeMap::new();
        let told = |it| {
            if let Told::Message(it) = it
                && let (Some(uid), Some(size)) = (it.uid, it.size)
            {
                sizes.insert(uid, size as usize);
            }
        };
        self.run("FETCH", &format!("UID FETCH {} (UID RFC822.SIZE)", set(uids)), told).await?;
        Ok(sizes)
    }

    /// Messages as they are, unseen as before; none has more than `limit` octets.
    pub(super) async fn bodies(&mut self, uids: &[u32], limit: usize) -> Result<BTreeMap<u32, Bytes>, MailboxError> {
        let mut bodies = BTreeMap::new();
        let told = |it| {
            if let Told::Message(it) = it
                && let (Some(uid), Some(body)) = (it.uid, it.body)
            {
                bodies.insert(uid, body);
            }
        };
        self.run("FETCH", &format!("UID FETCH {} (UID BODY.PEEK[]<0.{limit}>)", set(uids)), told).await?;
        Ok(bodies)
    }

    /// Gives messages a flag.
    pub(super) async fn flag(&mut self, uids: &[u32], flag: &str) -> Result<(), MailboxError> {
        self.run("STORE", &format!("UID STORE {} +FLAGS.SILENT ({flag})", set(uids)), drop).await
    }

    /// Moves messages into a folder (RFC 6851), or copies them and deletes them here.
    pub(super) async fn relocate(&mut self, uids: &[u32], to: &str) -> Result<(), MailboxError> {
        let to = folder(to);
        if self.can("MOVE").await? {
            return self.run("MOVE", &format!("UID MOVE {} {to}", set(uids)), drop).await;
        }
        self.run("COPY", &format!("UID COPY {} {to}", set(uids)), drop).await?;
        self.delete(uids).await
    }

    /// Deletes messages. A server without UIDPLUS (RFC 4315) could only take along what others have marked, so there they stay
    /// marked as deleted.
    pub(super) async fn delete(&mut self, uids: &[u32]) -> Result<(), MailboxError> {
        self.flag(uids, "\\Deleted").await?;
        if self.can("UIDPLUS").await? {
            self.run("EXPUNGE", &format!("UID EXPUNGE {}", set(uids)), drop).await?;
        }
        Ok(())
    }

    /// From here on what is new is new.
    pub(super) const fn forget_news(&mut self) {
        self.news = false;
    }

    /// Whether there are new messages since then, as far as the server has told.
    pub(super) const fn has_news(&self) -> bool {
        self.news
    }

    /// Waits until the server tells of new messages (RFC 2177), for so long at most.
    pub(super) async fn idle(&mut self, wait: Duration, stop: &CancellationToken) -> Result<Idle, MailboxError> {
        let until = Instant::now() + wait;
        let tag = self.begin("IDLE").await?;
        loop {
            match self.next().await? {
                Answer::GoOn => break,
                Answer::Done { tag: of, text, .. } if of == tag => return Err(MailboxError::refused("IDLE", &text)),
                Answer::Done { .. } | Answer::Told(_) => {}
            }
        }
        while !self.news && !stop.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            let speaks = tokio::select! {
                speaks = self.wire.speaks_within(left) => speaks?,
                () = stop.cancelled() => false,
            };
            if !speaks {
                break;
            }
            self.next().await?;
        }
        self.wire.send("DONE").await?;
        self.finish(&tag, "IDLE", drop).await?;
        Ok(if self.news { Idle::News } else { Idle::Over })
    }

    /// Ends the session; that it is over does not depend on it.
    pub(super) async fn logout(mut self) {
        let _ = self.run("LOGOUT", "LOGOUT", drop).await;
        let _ = shut(self.wire).await;
    }

    async fn begin(&mut self, command: &str) -> Result<String, MailboxError> {
        self.commands += 1;
        let tag = format!("r{}", self.commands);
        self.wire.send(&format!("{tag} {command}")).await?;
        Ok(tag)
    }

    /// Runs a command to its end. `name` stands for it in errors, since the command may hold a secret.
    async fn run(&mut self, name: &'static str, command: &str, told: impl FnMut(Told)) -> Result<(), MailboxError> {
        let tag = self.begin(command).await?;
        self.finish(&tag, name, told).await
    }

    async fn finish(&mut self, tag: &str, name: &'static str, mut each: impl FnMut(Told)) -> Result<(), MailboxError> {
        loop {
            match self.next().await? {
                Answer::Told(it) => each(it),
                Answer::Done { tag: of, verdict, text, told } if of == tag => {
                    told.into_iter().for_each(each);
                    return if verdict == Verdict::Ok { Ok(()) } else { Err(MailboxError::refused(name, &text)) };
                }
                Answer::Done { .. } | Answer::GoOn => {}
            }
        }
    }

    /// The next answer. New messages and the end of the session are told whenever it pleases the server.
    async fn next(&mut self) -> Result<Answer, MailboxError> {
        let answer = answer(&self.wire.read().await?);
        match &answer {
            // Some servers repeat the number whenever they are asked for something.
            Answer::Told(Told::Exists(count)) => {
                self.news |= *count > self.messages;
                self.messages = *count;
            }
            Answer::Told(Told::Expunged) => self.messages = self.messages.saturating_sub(1),
            // LOGOUT is answered so too; whoever asked for that does not mind.
            Answer::Told(Told::Bye(text)) => return Err(MailboxError::Bye(quoted(text))),
            _ => {}
        }
        Ok(answer)
    }
}

/// Numbers of messages as IMAP writes them: `1:3,7`.
fn set(uids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*uid) => *last = *uid,
            _ => ranges.push((*uid, *uid)),
        }
    }
    let range = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}:{last}") };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_short() {
        for (uids, expected) in
            [(&[1, 2, 3, 7, 9, 10][..], "1:3,7,9:10"), (&[4], "4"), (&[u32::MAX - 1, u32::MAX], "4294967294:4294967295")]
        {
            assert_eq!(set(uids), expected);
        }
    }
}
