//! A message as it was handed over, and the form in which its sources get it: with the lines that a final delivery adds (RFC 5321
//! section 4.4), by which a token of ours is found that stands in the address it came to.

use std::sync::Arc;

/// A message with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail {
    /// The reverse path; empty for a report.
    pub(super) sender: String,
    /// Whom it is for, each with the source that gets it; never empty.
    pub(super) recipients: Vec<Recipient>,
    /// The message.
    pub(super) text: Vec<u8>,
}

/// A recipient that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipient {
    /// The forward path.
    pub(super) address: String,
    /// The source that gets its mail.
    pub(super) source: Arc<str>,
}

/// What one source gets of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    /// Which source.
    pub(super) source: Arc<str>,
    /// Which of the recipients it is for, by number.
    pub(super) recipients: Vec<usize>,
}

impl Mail {
    /// One share for each source, so that a message to many addresses of one source is one receipt.
    ///
    /// There is no `Received` line: it would tell the time, and the same message delivered again would be another receipt. When
    /// and by which source it came in is noted beside it.
    pub(super) fn shares(&self) -> Vec<Share> {
        let mut shares: Vec<Share> = Vec::new();
        for (number, recipient) in self.recipients.iter().enumerate() {
            match shares.iter_mut().find(|it| it.source == recipient.source) {
                Some(share) => share.recipients.push(number),
                None => shares.push(Share { source: recipient.source.clone(), recipients: vec![number] }),
            }
        }
        shares
    }

    /// The message as the source of a share gets it.
    pub(super) fn bytes_of(&self, share: &Share) -> Vec<u8> {
        let to = share.recipients.iter().filter_map(|it| self.recipients.get(*it)).map(|it| it.address.as_str());
        self.with_trace(to)
    }

    fn with_trace<'a>(&self, to: impl Iterator<Item = &'a str>) -> Vec<u8> {
        let delivered = to.map(|it| format!("Delivered-To: <{it}>\r\n"));
        let trace: String = [format!("Return-Path: <{}>\r\n", self.sender)].into_iter().chain(delivered).collect();
        let mut bytes = Vec::with_capacity(trace.len() + self.text.len());
        bytes.extend_from_slice(trace.as_bytes());
        bytes.extend_from_slice(&self.text);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_gets_the_message_once_with_its_own_recipients() {
        let recipient = |address: &str, source: &str| Recipient { address: address.to_owned(), source: source.into() };
        let mail = Mail {
            sender: String::new(),
            recipients: vec![recipient("a@x.example", "one"), recipient("b@x.example", "two"), recipient("c@x.example", "one")],
            text: b"Subject: x\r\n\r\ny\r\n".to_vec(),
        };
        let shares = mail.shares();
        let told: Vec<_> =
            shares.iter().map(|it| (&*it.source, String::from_utf8(mail.bytes_of(it)).unwrap(), it.recipients.as_slice())).collect();
        let (one, two) = (
            "Return-Path: <>\r\nDelivered-To: <a@x.example>\r\nDelivered-To: <c@x.example>\r\nSubject: x\r\n\r\ny\r\n",
            "Return-Path: <>\r\nDelivered-To: <b@x.example>\r\nSubject: x\r\n\r\ny\r\n",
        );
        assert_eq!(told, [("one", one.into(), &[0, 2][..]), ("two", two.into(), &[1][..])]);
    }
}
