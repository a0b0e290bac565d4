//! What the server says: each reply has its code (RFC 5321 section 4.2) and its enhanced code (RFC 3463, 2034), and is one line.
//! None of them repeats what the client said.

/// A reply, ready to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    /// The three digits.
    code: u16,
    /// The enhanced code; none where RFC 2034 section 4 has none.
    enhanced: &'static str,
    text: &'static str,
}

const fn reply(code: u16, enhanced: &'static str, text: &'static str) -> Reply {
    Reply { code, enhanced, text }
}

impl Reply {
    pub(super) const HELP: Self = reply(214, "2.0.0", "Bounces are taken here, see RFC 5321");
    pub(super) const READY_FOR_TLS: Self = reply(220, "2.0.0", "Ready to start TLS");
    pub(super) const BYE: Self = reply(221, "2.0.0", "Bye");
    pub(super) const FINE: Self = reply(250, "2.0.0", "Ok");
    pub(super) const SENDER_FINE: Self = reply(250, "2.1.0", "Sender ok");
    pub(super) const RECIPIENT_FINE: Self = reply(250, "2.1.5", "Recipient ok");
    /// The promise: it is durable.
    pub(super) const TAKEN: Self = reply(250, "2.6.0", "Message recorded");
    pub(super) const NOT_VERIFIED: Self = reply(252, "2.0.0", "Send a message and see");
    pub(super) const GO_AHEAD: Self = reply(354, "", "End with <CRLF>.<CRLF>");
    pub(super) const STOPPING: Self = reply(421, "4.3.2", "The service is stopping, come again");
    pub(super) const TIMED_OUT: Self = reply(421, "4.4.2", "Too slow, closing");
    pub(super) const TOO_MANY_ERRORS: Self = reply(421, "4.7.0", "Too many errors, closing");
    pub(super) const TOO_MANY_COMMANDS: Self = reply(421, "4.7.0", "Too many commands, closing");
    pub(super) const TOO_MANY_CONNECTIONS: Self = reply(421, "4.3.2", "Too many connections, come again");
    pub(super) const TOO_MANY_OF_ADDRESS: Self = reply(421, "4.7.0", "Too many connections of your address, come again");
    pub(super) const UNAVAILABLE: Self = reply(451, "4.3.0", "Nothing was recorded, come again");
    pub(super) const FULL: Self = reply(452, "4.3.1", "As much is under way as can be taken, come again");
    pub(super) const TOO_MANY_RECIPIENTS: Self = reply(452, "4.5.3", "Too many recipients, send the rest later");
    pub(super) const TLS_UNAVAILABLE: Self = reply(454, "4.7.0", "TLS is not available");
    pub(super) const UNKNOWN_COMMAND: Self = reply(500, "5.5.2", "Unknown command");
    pub(super) const OTHER_PROTOCOL: Self = reply(500, "5.5.1", "Not a command of this protocol");
    pub(super) const LINE_TOO_LONG: Self = reply(500, "5.5.2", "Line too long");
    pub(super) const BARE_LINE_END: Self = reply(550, "5.5.2", "A line ends with CR and LF, and neither stands alone");
    pub(super) const SYNTAX: Self = reply(501, "5.5.4", "Syntax error in parameters");
    pub(super) const BAD_SENDER: Self = reply(501, "5.1.7", "Bad sender address");
    pub(super) const BAD_RECIPIENT: Self = reply(501, "5.1.3", "Bad recipient address");
    pub(super) const NOT_OFFERED: Self = reply(502, "5.5.1", "Command not offered");
    pub(super) const HELLO_FIRST: Self = reply(503, "5.5.1", "Say hello first");
    pub(super) const SENDER_FIRST: Self = reply(503, "5.5.1", "MAIL first");
    pub(super) const RECIPIENT_FIRST: Self = reply(503, "5.5.1", "No valid recipients");
    pub(super) const NESTED_SENDER: Self = reply(503, "5.5.1", "A message is under way already");
    pub(super) const TLS_ALREADY: Self = reply(503, "5.5.1", "TLS is active already");
    pub(super) const UNKNOWN_RECIPIENT: Self = reply(550, "5.1.1", "No such recipient here");
    pub(super) const TOO_LARGE: Self = reply(552, "5.3.4", "Message too large");
    pub(super) const UNKNOWN_PARAMETER: Self = reply(555, "5.5.4", "Parameter not offered");

    /// Appends the line.
    pub(super) fn write(self, replies: &mut Vec<u8>) {
        let Self { code, enhanced, text } = self;
        let blank = if enhanced.is_empty() { "" } else { " " };
        replies.extend_from_slice(format!("{code} {enhanced}{blank}{text}\r\n").as_bytes());
    }

    /// The line by itself.
    pub(super) fn line(self) -> Vec<u8> {
        let mut line = Vec::new();
        self.write(&mut line);
        line
    }
}
