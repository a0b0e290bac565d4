//! What providers post: bounces by `SendGrid` (signed by ECDSA), Mailgun (HMAC, a fresh token each), Postmark (Basic), and raw delivery
//! status notifications (RFC 3464) handed in by the API; or a hundred events in one post of `SendGrid`. Each post is a
//! function of its number, and so are the addresses in it: the ledger needs to keep nothing but what became of each.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{encoding::PublicKeyX509Der, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::drive::Requests;
use crate::ledger::Ledger;
use crate::wire::request;

/// The list that is mailed, three levels deep.
pub(crate) const LIST: &str = "load.weekly.offers";
/// What Mailgun signs with.
pub(crate) const MAILGUN_SECRET: &str = "load-mailgun-signing-key";
/// What Postmark shows.
pub(crate) const POSTMARK_BASIC: &str = "load:postmark";
/// Domains over which addresses are spread.
const DOMAINS: u64 = 997;

/// What a post consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One event each, the four ways in turn.
    Mixed,
    /// This many events each, by `SendGrid`.
    Batches(u64),
}

impl Kind {
    pub(crate) const fn events(self) -> u64 {
        match self {
            Self::Mixed => 1,
            Self::Batches(events) => events,
        }
    }
}

/// The keys of the pretended providers, and the API key of the service.
#[derive(Debug)]
pub(crate) struct Senders {
    sendgrid: EcdsaKeyPair,
    mailgun: hmac::Key,
    pub(crate) bearer: String,
}

impl Senders {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let sendgrid = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).context("a key for SendGrid")?;
        Ok(Self { sendgrid, mailgun: hmac::Key::new(hmac::HMAC_SHA256, MAILGUN_SECRET.as_bytes()), bearer: String::new() })
    }

    /// The public key of `SendGrid`, as its console shows it.
    pub(crate) fn sendgrid_public(&self) -> anyhow::Result<String> {
        let der: PublicKeyX509Der<'_> = self.sendgrid.public_key().as_der().context("the key of SendGrid")?;
        Ok(STANDARD.encode(der.as_ref()))
    }
}

/// Posts of one stretch of load.
#[derive(Debug)]
pub(crate) struct Posts {
    /// Distinguishes the addresses of one stretch from those of another.
    pub(crate) run: u32,
    pub(crate) kind: Kind,
    senders: Arc<Senders>,
    /// When it all happened: just before.
    at: u64,
    /// Made beforehand; those behind are made when they are asked for.
    ready: Vec<Vec<u8>>,
    /// No more than these.
    most: u64,
    pub(crate) ledger: Ledger,
}

impl Posts {
    /// Posts of which `ready` are made now, and at most `most` are sent.
    pub(crate) fn new(run: u32, kind: Kind, senders: &Arc<Senders>, ready: u64, most: u64) -> Arc<Self> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().saturating_sub(60);
        let ledger = Ledger::new(most, kind.events());
        let mut it = Self { run, kind, senders: senders.clone(), at, ready: Vec::new(), most, ledger };
        it.ready = (0..ready.min(most)).map(|index| it.made(index)).collect();
        Arc::new(it)
    }

    /// The address of an event of a post.
    pub(crate) fn address(&self, post: u64, event: u64) -> String {
        address(self.run, post * self.kind.events() + event)
    }

    fn made(&self, index: u64) -> Vec<u8> {
        match self.kind {
            Kind::Batches(events) => self.sendgrid(index, events),
            Kind::Mixed => match index % 4 {
                0 => self.sendgrid(index, 1),
                1 => self.mailgun(index),
                2 => self.postmark(index),
                _ => self.notification(index),
            },
        }
    }

    /// What the receiver said: mostly that there is nobody, at times that the mailbox is full.
    fn said(number: u64) -> (&'static str, u16, &'static str) {
        if number % 40 >= 36 {
            ("4.2.2", 452, "The recipient's mailbox is over quota and cannot take mail now")
        } else {
            ("5.1.1", 550, "The address was not found here, please check it for typing errors")
        }
    }

    fn sendgrid(&self, post: u64, events: u64) -> Vec<u8> {
        let events: Vec<_> = (0..events)
            .map(|event| {
                let id = format!("{}-{post}-{event}", self.run);
                let (status, reply, text) = Self::said(post * events + event);
                json!({
                    "email": self.address(post, event), "timestamp": self.at, "event": "bounce", "type": "bounce", "status": status,
                    "reason": format!("{reply} {status} {text}"), "smtp-id": format!("<sg-{id}@news.load.test>"),
                    "sg_event_id": format!("event-{id}"), "sg_message_id": format!("message-{id}.recvd-7d9f-1-65"),
                    "ip": "192.0.2.17", "tls": 1, "category": ["offers"],
                })
            })
            .collect();
        let body = serde_json::Value::from(events).to_string();
        let time = self.at.to_string();
        let signed = [time.as_bytes(), body.as_bytes()].concat();
        let signature =
            self.senders.sendgrid.sign(&SystemRandom::new(), &signed).map(|it| STANDARD.encode(it.as_ref())).unwrap_or_default();
        let fields = [
            ("Content-Type", "application/json"),
            ("User-Agent", "SendGrid Event API"),
            ("X-Twilio-Email-Event-Webhook-Signature", signature.as_str()),
            ("X-Twilio-Email-Event-Webhook-Timestamp", time.as_str()),
        ];
        request("POST", "/webhooks/sendgrid", &fields, body.as_bytes())
    }

    fn mailgun(&self, post: u64) -> Vec<u8> {
        let id = format!("{}-{post}", self.run);
        let (status, reply, text) = Self::said(post);
        let time = self.at.to_string();
        let token: String = HEXLOWER.encode(hmac::sign(&self.senders.mailgun, id.as_bytes()).as_ref()).chars().take(50).collect();
        let signature = HEXLOWER.encode(hmac::sign(&self.senders.mailgun, format!("{time}{token}").as_bytes()).as_ref());
        let address = self.address(post, 0);
        let body = json!({
            "signature": {"timestamp": time, "token": token, "signature": signature},
            "event-data": {
                "id": format!("mg-{id}"), "event": "failed", "severity": "permanent", "reason": "bounce", "timestamp": self.at,
                "recipient": address, "recipient-domain": address.split('@').nth(1), "log-level": "error",
                "delivery-status": {"code": reply, "enhanced-code": status, "message": format!("{status} {text}"), "mx-host": "mx.load.test",
                    "attempt-no": 1, "session-seconds": 0.4},
                "message": {"headers": {"message-id": format!("mg-{id}@news.load.test"), "from": "News <news@load.test>",
                    "to": address, "subject": "Our offers of this week"}, "size": 14_211},
                "flags": {"is-routed": false, "is-authenticated": true}, "tags": ["offers"],
            },
        });
        request(
            "POST",
            "/webhooks/mailgun",
            &[("Content-Type", "application/json"), ("User-Agent", "mailgun/load")],
            body.to_string().as_bytes(),
        )
    }

    fn postmark(&self, post: u64) -> Vec<u8> {
        let (status, reply, text) = Self::said(post);
        let (name, code) = if reply == 550 { ("HardBounce", 1) } else { ("SoftBounce", 4096) };
        let at = rfc3339(self.at);
        let body = json!({
            "RecordType": "Bounce", "MessageStream": "offers", "ID": 4_600_000_000_000_u64 + u64::from(self.run) * 10_000_000 + post,
            "Type": name, "TypeCode": code, "Tag": "offers", "MessageID": format!("pm-{}-{post}", self.run), "ServerID": 7,
            "Description": "The server was unable to deliver the message.", "Details": format!("smtp;{reply} {status} {text}"),
            "Email": self.address(post, 0), "From": "news@load.test", "BouncedAt": at, "Inactive": reply == 550, "DumpAvailable": false,
            "CanActivate": true, "Subject": "Our offers of this week",
        });
        let basic = format!("Basic {}", STANDARD.encode(POSTMARK_BASIC));
        let fields = [("Content-Type", "application/json"), ("User-Agent", "Postmark"), ("Authorization", basic.as_str())];
        request("POST", "/webhooks/postmark", &fields, body.to_string().as_bytes())
    }

    fn notification(&self, post: u64) -> Vec<u8> {
        let (status, reply, text) = Self::said(post);
        let (to, at, id) = (self.address(post, 0), rfc2822(self.at), format!("{}.{post}", self.run));
        let body = format!(
            "Return-Path: <>\r\nReceived: by bounces.load.test (Postfix) id {id}; {at}\r\nDate: {at}\r\n\
             From: MAILER-DAEMON@mx.load.test (Mail Delivery System)\r\nSubject: Undelivered Mail Returned to Sender\r\n\
             To: news@load.test\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nMessage-Id: <dsn.{id}@mx.load.test>\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=\"{id}/mx\"\r\n\r\n\
             --{id}/mx\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             This is the mail server at mx.load.test. Your message could not be handed over.\r\n\r\n\
             <{to}>: host mx.dest.test[192.0.2.25] said: {reply} {status}\r\n    {text} (in reply to RCPT TO command)\r\n\r\n\
             --{id}/mx\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.load.test\r\nArrival-Date: {at}\r\n\r\n\
             Final-Recipient: rfc822; {to}\r\nOriginal-Recipient: rfc822;{to}\r\nAction: failed\r\nStatus: {status}\r\n\
             Remote-MTA: dns; mx.dest.test\r\nDiagnostic-Code: smtp; {reply} {status} {text}\r\n\r\n\
             --{id}/mx\r\nContent-Type: text/rfc822-headers\r\n\r\n\
             Message-Id: <dsn-{id}@news.load.test>\r\nDate: {at}\r\nFrom: News <news@load.test>\r\nTo: {to}\r\n\
             Subject: Our offers of this week\r\nList-Id: <offers.load.test>\r\n\r\n--{id}/mx--\r\n"
        );
        let bearer = format!("Bearer {}", self.senders.bearer);
        let fields = [("Content-Type", "message/rfc822"), ("Authorization", bearer.as_str())];
        request("POST", &format!("/v1/messages?list={LIST}"), &fields, body.as_bytes())
    }
}

impl Requests for Posts {
    fn bytes(&self, index: u64) -> Option<Cow<'_, [u8]>> {
        if index >= self.most {
            return None;
        }
        let ready = usize::try_from(index).ok().and_then(|it| self.ready.get(it));
        Some(ready.map_or_else(|| Cow::Owned(self.made(index)), |it| Cow::Borrowed(it.as_slice())))
    }

    fn answered(&self, index: u64, status: Option<u16>) {
        self.ledger.answered(index, status);
    }
}

/// The address that an event of a stretch of load is about.
pub(crate) fn address(run: u32, number: u64) -> String {
    format!("l{run}x{number}@d{}.load.test", number % DOMAINS)
}

/// The other way round.
pub(crate) fn number(run: u32, address: &str) -> Option<u64> {
    address.strip_prefix(&format!("l{run}x"))?.split_once('@')?.0.parse().ok()
}

fn rfc3339(seconds: u64) -> String {
    moment(seconds).format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

fn rfc2822(seconds: u64) -> String {
    moment(seconds).format(&time::format_description::well_known::Rfc2822).unwrap_or_default()
}

fn moment(seconds: u64) -> time::OffsetDateTime {
    i64::try_from(seconds)
        .ok()
        .and_then(|it| time::OffsetDateTime::from_unix_timestamp(it).ok())
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_number() {
        assert_eq!(number(7, &address(7, 12_345)), Some(12_345));
        assert_eq!(number(8, &address(7, 12_345)), None);
    }
}
