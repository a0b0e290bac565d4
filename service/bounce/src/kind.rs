//! What a report is about and how sure we may be of it. These words are the contract with everyone: API, database,
//! broker and metrics spell them the same way.

crate::vocabulary! {
    /// What happened to the message, or to the person's wish to get it.
    pub enum Kind, "kind" {
        /// Final failure of one message to one recipient.
        Bounce = "bounce",
        /// Not delivered yet; the sender's queue still tries. Counts for nothing.
        Delayed = "delayed",
        /// Accepted by the recipient's server, or by the last one that reports.
        Delivered = "delivered",
        /// The recipient called it spam (RFC 5965, or a provider's feedback loop).
        Complaint = "complaint",
        /// The recipient does not want more.
        Unsubscribe = "unsubscribe",
        /// The ESP did not try: the address stands on a list of its own.
        Suppressed = "suppressed",
        /// The ESP refused our message; the recipient is not at fault.
        Rejected = "rejected",
        /// A responder answered (RFC 3834).
        AutoReply = "auto_reply",
        /// Somebody's filter asks the sender to prove to be human.
        ChallengeResponse = "challenge_response",
        /// A message disposition notification (RFC 8098).
        Mdn = "mdn",
        /// None of the above.
        Other = "other",
    }
}

crate::vocabulary! {
    /// Whether the address is to blame for a final failure.
    pub enum BounceType, "bounce type" {
        /// The address will not work again.
        Hard = "hard",
        /// Final for this message only; the address may be fine. Includes refusals of the sender or the content.
        Soft = "soft",
    }
}

crate::vocabulary! {
    /// The Action field of a delivery report, RFC 3464 section 2.3.3.
    pub enum Action, "action" {
        /// Final failure.
        Failed = "failed",
        /// Still queued.
        Delayed = "delayed",
        /// Delivered.
        Delivered = "delivered",
        /// Passed to a system that will not report.
        Relayed = "relayed",
        /// Delivered to a list or alias and sent on.
        Expanded = "expanded",
    }
}

crate::vocabulary! {
    /// Feedback-Type of an ARF report, RFC 5965 section 7.3 and the IANA registry.
    pub enum FeedbackType, "feedback type" {
        /// Spam, says the reader.
        Abuse = "abuse",
        /// Fraud or phishing.
        Fraud = "fraud",
        /// A virus was found.
        Virus = "virus",
        /// Something else is wrong.
        Other = "other",
        /// Not spam after all (RFC 6430).
        NotSpam = "not-spam",
        /// SPF, DKIM or DMARC failed (RFC 6591); for the operator, not the list.
        AuthFailure = "auth-failure",
        /// Wants to be taken off (retired, still seen).
        OptOut = "opt-out",
        /// Wants to be taken off one list (retired, still seen).
        OptOutList = "opt-out-list",
    }
}

crate::vocabulary! {
    /// How well a fact is tied to somebody who may state it, weakest first.
    pub enum Attribution, "attribution" {
        /// A mail that anyone could have written.
        Unattributed = "unattributed",
        /// Came with a password, bearer token or secret URL.
        Authenticated = "authenticated",
        /// The provider's signature over it holds.
        Signed = "signed",
        /// The mail carries a token that we made for this recipient.
        Attributed = "attributed",
    }
}
