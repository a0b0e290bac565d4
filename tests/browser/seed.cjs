// Fills the service with what a week brings: bounces of all kinds, complaints, imports, what cannot be read, and hostile texts.
'use strict';

const HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)>"\'><svg/onload=alert(3)> \u202egnp.exe \u200b javascript:alert(4)';

function bounce({ to, status, text, action = 'failed', days = 0, id }) {
  const at = new Date(Date.now() - days * 86400e3 - 600e3).toUTCString().replace('GMT', '+0000');
  return [
    'From: MAILER-DAEMON@mx.example.net (Mail Delivery System)', 'To: bounces@example.com', `Date: ${at}`,
    'Subject: Undelivered Mail Returned to Sender', 'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"', '', '--b', 'Content-Type: text/plain; charset=utf-8', '',
    'This is the mail system at host mx.example.net.', '--b', 'Content-Type: message/delivery-status', '',
    'Reporting-MTA: dns; mx.example.net', `Arrival-Date: ${at}`, '', `Final-Recipient: rfc822; ${to}`, `Action: ${action}`,
    `Status: ${status}`, `Remote-MTA: dns; mx.${to.split('@')[1]}`, `Diagnostic-Code: smtp; ${text}`, '', '--b',
    'Content-Type: text/rfc822-headers', '', `Message-ID: <${id}@example.com>`, 'From: news@example.com', '', '--b--', '',
  ].join('\r\n');
}

const KINDS = [
  ['5.1.1', '550 5.1.1 <TO>: Recipient address rejected: User unknown in virtual mailbox table', 14],
  ['5.1.1', '550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient\'s email address', 8],
  ['5.2.2', '552 5.2.2 <TO>: Mailbox full, over quota', 7],
  ['5.7.1', '550 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.25', 6],
  ['5.7.26', '550 5.7.26 Unauthenticated email from example.com is not accepted due to domain\'s DMARC policy. See https://help.example.org/dmarc', 4],
  ['4.7.0', '421 4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address', 3],
  ['5.4.4', '550 5.4.4 Host or domain name not found. Name service error: Host not found', 3],
  ['5.7.1', '554 5.7.1 Message rejected as spam by content filtering', 2],
  ['5.2.1', '550 5.2.1 The account is disabled', 2],
];
const DOMAINS = ['mail.example', 'post.example', 'gmail-like.example', 'firm.example', 'univ.example'];

module.exports = async function seed(url, key) {
  const call = async (method, path, type, body) => {
    const answer = await fetch(url + path, { method, headers: { authorization: `Bearer ${key}`, 'content-type': type }, body });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const message = (text, list = 'acme.weekly') => call('POST', `/v1/messages?list=${list}`, 'message/rfc822', text);
  const put = (address, body, list = 'acme.weekly') =>
    call('PUT', `/v1/lists/${list}/suppressions/${encodeURIComponent(address)}`, 'application/json', JSON.stringify(body));
  let id = 0;
  const sent = [];
  for (const [status, text, count] of KINDS) {
    for (let at = 0; at < count; at++, id++) {
      const to = `user${id}@${DOMAINS[(id * 7 + at) % DOMAINS.length]}`;
      sent.push(message(bounce({ to, status, text: text.replace('TO', to), days: 0, id }), id % 4 ? 'acme.weekly' : 'acme.receipts'));
    }
  }
  sent.push(message(bounce({ to: 'hostile@evil.example', status: '5.7.1', text: `550 5.7.1 blocked by policy ${HOSTILE}`, id: 'hostile' })));
  for (let day = 0; day < 5; day++) {
    sent.push(message(bounce({ to: 'grace@mail.example', status: '4.2.2', text: '452 4.2.2 Mailbox full', days: day, id: `grace${day}` })));
  }
  await Promise.all(sent);
  await message(bounce({ to: 'jane@mail.example', status: '5.1.1', text: '550 5.1.1 <jane@mail.example>: User unknown', id: 'jane' }));
  await message(`From: someone@example.net\r\nTo: bounces@example.com\r\nSubject: ${'Hello'}\r\n\r\nJust a letter.\r\n`);
  await put('noted@mail.example', { action: 'block', note: HOSTILE });
  await put('friend@mail.example', { action: 'allow', note: 'asked by telephone' });
  await put('@closed.example', { action: 'block', note: 'the firm is gone' });
  return { HOSTILE };
};
