//! Why a message failed: the 34 reasons of the taxonomy, who is at fault, and whether the reason speaks against the
//! address. Pure vocabulary; which text leads to which reason is data (`rules/*.toml`).

use crate::kind::BounceType;

crate::vocabulary! {
    /// Who has to act for the next message to arrive.
    pub enum Fault, "fault" {
        /// The address is wrong.
        Recipient = "recipient",
        /// The mailbox is there and does not take the message.
        Mailbox = "mailbox",
        /// The receiving server.
        Receiver = "receiver",
        /// What lies between, DNS included.
        Network = "network",
        /// The sender's standing.
        Reputation = "reputation",
        /// The message.
        Content = "content",
        /// The sender's set-up.
        Configuration = "configuration",
    }
}

impl Fault {
    /// Whether the sender, and not the recipient's side, has to act. Such a failure never suppresses an address.
    #[must_use]
    pub const fn is_senders(self) -> bool {
        matches!(self, Self::Reputation | Self::Content | Self::Configuration)
    }
}

crate::vocabulary! {
    /// Why a message failed.
    pub enum Reason, "reason" {
        /// The local part does not exist at a domain that takes mail.
        UserUnknown = "user_unknown",
        /// The domain leads to no mail server.
        DomainUnknown = "domain_unknown",
        /// The domain exists and says that it takes no mail (null MX, 521, 556).
        DomainNoMail = "domain_no_mail",
        /// Not a legal address for that server.
        AddressSyntax = "address_syntax",
        /// The person or the owner of the address has gone elsewhere.
        AddressMoved = "address_moved",
        /// Over quota.
        MailboxFull = "mailbox_full",
        /// Disabled, suspended, expired or never activated.
        MailboxInactive = "mailbox_inactive",
        /// A mailbox failure that does not tell missing, disabled and refused apart.
        MailboxUnavailable = "mailbox_unavailable",
        /// The person or their organisation refuses this sender in particular.
        RecipientRefused = "recipient_refused",
        /// A forwarder, alias, list or program behind the address failed.
        DeliveryAgentError = "delivery_agent_error",
        /// The server is not responsible for the domain, or wants a login before relaying.
        RelayDenied = "relay_denied",
        /// The receiving system is down, overloaded or misconfigured.
        ServerError = "server_error",
        /// First contact: come again from the same host.
        Greylisted = "greylisted",
        /// No TCP or TLS session, or it broke.
        NetworkError = "network_error",
        /// A DNS or routing failure that proves nothing about the domain.
        DnsError = "dns_error",
        /// The queue lifetime ran out and no better cause is given.
        Expired = "expired",
        /// Too much mail or too many connections in a time.
        RateLimited = "rate_limited",
        /// The receiver's own score of the sending host or domain is too low.
        ReputationBlock = "reputation_block",
        /// A named block list lists the sending host or a domain.
        DnsblListed = "dnsbl_listed",
        /// This message was judged to be spam.
        SpamContent = "spam_content",
        /// Malware was found in the message.
        VirusDetected = "virus_detected",
        /// An attachment, link or media type is not allowed.
        ContentRejected = "content_rejected",
        /// The message breaks RFC 5322 or MIME.
        MessageMalformed = "message_malformed",
        /// Larger than the server or the mailbox allows.
        MessageTooLarge = "message_too_large",
        /// A policy refusal without detail.
        PolicyRejected = "policy_rejected",
        /// SPF, DKIM, DMARC or ARC did not pass or align.
        AuthFailure = "auth_failure",
        /// PTR, forward-confirmed reverse DNS or HELO name failed.
        ReverseDns = "reverse_dns",
        /// The sender's address or domain is refused.
        SenderRejected = "sender_rejected",
        /// Encryption is demanded or failed.
        TlsRequired = "tls_required",
        /// Our own relay refused our login.
        SubmissionAuth = "submission_auth",
        /// The two servers misunderstood each other.
        ProtocolError = "protocol_error",
        /// The next hop lacks an extension the message needs.
        FeatureUnsupported = "feature_unsupported",
        /// The ESP did not try: the address stands on its own list.
        Suppressed = "suppressed",
        /// Nothing could be identified.
        Undetermined = "undetermined",
    }
}

impl Reason {
    /// Who has to act.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::UserUnknown | Self::DomainUnknown | Self::DomainNoMail | Self::AddressSyntax | Self::AddressMoved | Self::Suppressed => {
                Fault::Recipient
            }
            Self::MailboxFull | Self::MailboxInactive | Self::MailboxUnavailable | Self::RecipientRefused => Fault::Mailbox,
            Self::DeliveryAgentError | Self::RelayDenied | Self::ServerError | Self::Greylisted | Self::FeatureUnsupported => {
                Fault::Receiver
            }
            Self::NetworkError | Self::DnsError | Self::Expired | Self::Undetermined => Fault::Network,
            Self::RateLimited | Self::ReputationBlock | Self::DnsblListed | Self::PolicyRejected => Fault::Reputation,
            Self::SpamContent | Self::VirusDetected | Self::ContentRejected | Self::MessageTooLarge => Fault::Content,
            Self::MessageMalformed
            | Self::AuthFailure
            | Self::ReverseDns
            | Self::SenderRejected
            | Self::TlsRequired
            | Self::SubmissionAuth
            | Self::ProtocolError => Fault::Configuration,
        }
    }

    /// What a permanent report with this reason says of the address.
    #[must_use]
    pub const fn permanent_type(self) -> BounceType {
        match self {
            Self::UserUnknown
            | Self::DomainUnknown
            | Self::DomainNoMail
            | Self::AddressSyntax
            | Self::AddressMoved
            | Self::MailboxInactive
            | Self::Suppressed => BounceType::Hard,
            _ => BounceType::Soft,
        }
    }
}
