//! The closed lists of words that labels of metrics are taken from, besides those of the `bounce` crate.

bounce::vocabulary! {
    /// What became of a receipt that was taken.
    pub enum Stored, "outcome" {
        /// Read, and its effects are recorded.
        New = "new",
        /// Known already, byte for byte.
        Duplicate = "duplicate",
        /// Authentic and not understood; kept for later.
        Unrecognised = "unrecognised",
        /// Reading or recording it failed; kept for later.
        Quarantined = "quarantined",
    }
}

bounce::vocabulary! {
    /// Why a post or a message was not taken.
    pub enum Refused, "why" {
        /// No API key, or one that may not.
        Credentials = "credentials",
        /// A post without the credential that its source asks for.
        CredentialMissing = "credential_missing",
        /// A post with a wrong credential.
        CredentialMismatch = "credential_mismatch",
        /// A post with several credentials where one belongs.
        CredentialRepeated = "credential_repeated",
        /// A signature too old, or from the future.
        Stale = "stale",
        /// A signature that was used with another body.
        Replayed = "replayed",
        /// Not from somebody that the source listens to.
        NotAllowed = "not_allowed",
        /// The source lacks what would prove the post: ours to mend.
        NotConfigured = "not_configured",
        /// The certificate that would prove the post cannot be used, or be fetched.
        Certificate = "certificate",
        /// Not by a method that this source takes.
        Method = "method",
        /// Not of a content type that this source takes.
        MediaType = "media_type",
        /// Not what this source sends.
        Malformed = "malformed",
        /// More events than fit into one post.
        TooManyEvents = "too_many_events",
        /// Over a limit.
        TooLarge = "too_large",
        /// The queue is full: come again.
        Busy = "busy",
        /// The database is away: come again.
        Unavailable = "unavailable",
    }
}

impl Refused {
    /// Whether nothing proved who posts: somebody forges, or a credential has changed on one side.
    #[must_use]
    pub const fn is_unproved(self) -> bool {
        match self {
            Self::Credentials
            | Self::CredentialMissing
            | Self::CredentialMismatch
            | Self::CredentialRepeated
            | Self::Stale
            | Self::Replayed
            | Self::NotAllowed
            | Self::NotConfigured
            | Self::Certificate => true,
            Self::Method | Self::MediaType | Self::Malformed | Self::TooManyEvents | Self::TooLarge | Self::Busy | Self::Unavailable => {
                false
            }
        }
    }
}

bounce::vocabulary! {
    /// What a check says of an address.
    pub enum Answer, "answer" {
        /// Do not mail it.
        Suppressed = "suppressed",
        /// Nothing speaks against it.
        Clear = "clear",
        /// It is no address.
        Invalid = "invalid",
    }
}

bounce::vocabulary! {
    /// What became of a row of an import.
    pub enum Imported, "outcome" {
        /// It began to block or allow.
        Added = "added",
        /// It changed what stood there.
        Updated = "updated",
        /// It changed nothing.
        Unchanged = "unchanged",
        /// It was not taken.
        Refused = "refused",
    }
}

bounce::vocabulary! {
    /// What became of the blocks of an address that was erased.
    pub enum Erased, "erased block" {
        /// They go on under its pseudonym.
        Kept = "kept",
        /// They went with everything else.
        Forgotten = "forgotten",
    }
}

bounce::vocabulary! {
    /// What is removed for its age.
    pub enum Outlived, "outlived thing" {
        /// The raw bytes of a receipt.
        Bodies = "receipt_bodies",
        /// An event.
        Events = "events",
        /// An address of which nothing else is known any more.
        Subjects = "subjects",
        /// A preview of an import, a line that one refused, or a note of what one said again.
        ImportRows = "import_rows",
    }
}

bounce::vocabulary! {
    /// What the broker said of a message.
    pub enum Published, "outcome" {
        /// It has it, and a queue does.
        Confirmed = "confirmed",
        /// No queue takes it.
        Returned = "returned",
        /// It could not take it.
        Nacked = "nacked",
        /// Nothing in time.
        TimedOut = "timed_out",
        /// The connection broke first.
        Failed = "failed",
    }
}

bounce::vocabulary! {
    /// What became of rules that were read again.
    pub enum Reloaded, "outcome" {
        /// They are in force.
        Loaded = "loaded",
        /// Something is wrong with them; the earlier ones stay.
        Refused = "refused",
    }
}

bounce::vocabulary! {
    /// What the relay does.
    pub enum RelayState, "relay state" {
        /// No broker is configured.
        Off = "off",
        /// Another replica publishes.
        Standby = "standby",
        /// The broker is away.
        Disconnected = "disconnected",
        /// It publishes.
        Connected = "connected",
    }
}

bounce::vocabulary! {
    /// How the database was found.
    pub enum Database, "database" {
        /// It takes what comes.
        There = "there",
        /// It does not answer.
        Away = "away",
    }
}

bounce::vocabulary! {
    /// Why a receipt was not kept in the spool.
    pub enum Unspooled, "why" {
        /// The spool holds as much as it may.
        Full = "full",
        /// What is in it has waited for too long.
        TooOld = "too_old",
        /// The receipt is too large for it.
        TooLarge = "too_large",
        /// More waits for the disk than may.
        Busy = "busy",
        /// The disk did not take it.
        Failed = "failed",
    }
}

bounce::vocabulary! {
    /// What became of a receipt of the spool.
    pub enum Drained, "outcome" {
        /// It is committed.
        Recorded = "recorded",
        /// The database had it already.
        Duplicate = "duplicate",
        /// Its token was used with another body meanwhile; it is dropped.
        Replayed = "replayed",
        /// Its source or list is not configured; it is held.
        Held = "held",
        /// The database refuses it while it takes others; it is set aside.
        Failed = "failed",
        /// It was damaged on the disk.
        Damaged = "damaged",
    }
}

bounce::vocabulary! {
    /// The protocol that mail comes by.
    pub enum MailProtocol, "protocol" {
        /// RFC 5321, from anybody.
        Smtp = "smtp",
        /// RFC 2033, from a mail server beside us.
        Lmtp = "lmtp",
    }
}

bounce::vocabulary! {
    /// What the SMTP and LMTP edge refused.
    pub enum SmtpRefused, "why" {
        /// A connection: there are as many as there may be.
        Connections = "connections",
        /// A connection: there are as many of its address as there may be, or were within a minute.
        AddressConnections = "address_connections",
        /// A recipient that no source has.
        UnknownRecipient = "unknown_recipient",
        /// A recipient beyond the limit.
        TooManyRecipients = "too_many_recipients",
        /// A line that is no command, or is not offered.
        Syntax = "syntax",
        /// A command at the wrong moment.
        Sequence = "sequence",
        /// A CR or LF that stands alone: perhaps smuggling.
        BareLineEnd = "bare_line_end",
        /// A message over the limit.
        TooLarge = "too_large",
        /// A session with too many mistakes.
        TooManyErrors = "too_many_errors",
        /// A session with too many commands.
        TooManyCommands = "too_many_commands",
        /// A session that was too slow.
        TimedOut = "timed_out",
        /// A handshake of TLS that failed.
        Tls = "tls",
        /// A message for which there was no room: come again.
        Full = "full",
        /// A message that could not be made durable: come again.
        Unavailable = "unavailable",
    }
}

bounce::vocabulary! {
    /// Who handled a failure.
    pub enum Stage, "stage" {
        /// The HTTP edge.
        Http = "http",
        /// The queue and its batches.
        Intake = "intake",
        /// Reading and classifying.
        Interpret = "interpret",
        /// The database.
        Store = "store",
        /// Publishing.
        Relay = "relay",
        /// Requests to providers.
        Fetch = "fetch",
        /// The folder where receipts wait for the database.
        Spool = "spool",
        /// The SMTP and LMTP edge.
        Smtp = "smtp",
    }
}

bounce::vocabulary! {
    /// What became of a message of a mailbox.
    pub enum Polled, "outcome" {
        /// What it says is durable.
        Taken = "taken",
        /// It was kept, but reading or recording it failed.
        Quarantined = "quarantined",
        /// It is larger than is taken.
        TooLarge = "too_large",
        /// The server does not hand it out.
        Unreadable = "unreadable",
    }
}

bounce::vocabulary! {
    /// Why a mailbox could not be worked on.
    pub enum MailboxFailure, "cause" {
        /// The server cannot be reached.
        Connect = "connect",
        /// The connection could not be protected.
        Tls = "tls",
        /// There is no access token.
        Token = "token",
        /// The server refuses the login.
        Login = "login",
        /// The connection broke, or the server fell silent.
        Lost = "lost",
        /// The server refuses what was asked for.
        Refused = "refused",
        /// Messages were not taken in: they wait in the box.
        Intake = "intake",
    }
}
