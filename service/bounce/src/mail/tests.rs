use super::*;

fn parts(text: &str) -> Vec<(String, String)> {
    let mail = Mail::parse(text.as_bytes());
    mail.parts().map(|it| (it.content_type().to_owned(), it.text(1000).into_owned())).collect()
}

fn notes(text: &str) -> Vec<&'static str> {
    Mail::parse(text.as_bytes()).notes().collect()
}

#[test]
fn parts_are_found_in_order_and_decoded() {
    let text = "Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\n\r\npreamble\r\n--a b\r\n\r\nplain\r\n--a b \r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ngr=FCn\r\n--a b\r\n\
        Content-Type: Message/RFC822\r\n\r\nSubject: x\r\n\r\n--c\r\n--a b--\r\nepilogue\r\n";
    let expected = [("", "plain"), ("text/plain", "grün"), ("message/rfc822", "Subject: x\n\n--c")];
    assert_eq!(parts(text), expected.map(|(essence, text)| (essence.to_owned(), text.to_owned())));
}

#[test]
fn a_part_may_end_right_after_its_header() {
    assert_eq!(
        parts("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: a/b\n--x\nContent-Type: c/d\n\n--x--\n"),
        [("a/b".to_owned(), String::new()), ("c/d".to_owned(), String::new())]
    );
}

#[test]
fn an_inner_boundary_that_begins_like_the_outer_is_its_own() {
    let text = "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=xy\n\n--xy\n\none\n--xy--\n--x\n\ntwo\n--x--\n";
    assert_eq!(parts(text).iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn any_line_end_reads_the_same() {
    let text = "Subject: a\n b\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\none\ntwo\n--x--\n";
    for end in ["\n", "\r\n", "\r", "\r\r\n"] {
        let text = text.replace('\n', end);
        let mail = Mail::parse(text.as_bytes());
        assert_eq!(mail.header("subject").as_deref(), Some("a b"), "{end:?}");
        assert_eq!(mail.human().trim_end(), "one\ntwo", "{end:?}");
    }
}

#[test]
fn people_read_one_form_of_each_alternative() {
    let both = "Content-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/plain\n\nplain\n--x\nContent-Type: text/html\n\n<b>html</b>\n--x--\n";
    assert_eq!(Mail::parse(both.as_bytes()).human(), "plain");
    let mixed = both.replace("alternative", "mixed");
    assert_eq!(Mail::parse(mixed.as_bytes()).human(), "plain\n\nhtml");
}

#[test]
fn multiparts_one_deeper_than_the_limit_stay_closed() {
    let nested = |depth: usize| {
        let mut text = String::new();
        for level in 0..depth {
            text = format!("{text}Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
        }
        text + "\ninside\n"
    };
    assert_eq!(parts(&nested(limits::DEPTH)).last().map(|it| it.0.as_str()), Some(""));
    assert!(notes(&nested(limits::DEPTH)).is_empty());
    assert_eq!(parts(&nested(limits::DEPTH + 1)).last().map(|it| it.0.as_str()), Some("multipart/mixed"));
    assert_eq!(notes(&nested(limits::DEPTH + 1)).len(), 1);
}

#[test]
fn one_part_more_than_the_limit_is_left_out() {
    let many = |count: usize| format!("Content-Type: multipart/mixed; boundary=x\n\n{}--x--\n", "--x\n\npart\n".repeat(count));
    assert_eq!((parts(&many(limits::PARTS)).len(), notes(&many(limits::PARTS)).len()), (limits::PARTS, 0));
    assert_eq!((parts(&many(limits::PARTS + 1)).len(), notes(&many(limits::PARTS + 1)).len()), (limits::PARTS, 1));
}

#[test]
fn a_boundary_one_longer_than_the_limit_is_not_used() {
    let with = |length: usize| {
        let boundary = "b".repeat(length);
        format!("Content-Type: multipart/mixed; boundary={boundary}\n\n--{boundary}\nContent-Type: a/b\n\nx\n--{boundary}--\n")
    };
    assert_eq!(parts(&with(limits::BOUNDARY_BYTES))[0].0, "a/b");
    assert_eq!(parts(&with(limits::BOUNDARY_BYTES + 1))[0].0, "multipart/mixed");
}

#[test]
fn human_text_and_parts_are_decoded_no_further_than_their_limits() {
    let text = format!("Content-Type: multipart/mixed; boundary=x\n\n--x\n\n{}\n--x\n\nmore\n--x--\n", "a".repeat(limits::TEXT_BYTES + 1));
    let mail = Mail::parse(text.as_bytes());
    assert_eq!(mail.human().len(), limits::TEXT_BYTES);
    let part = mail.parts().next().unwrap();
    assert_eq!(part.text(limits::REPORT_BYTES).len(), limits::TEXT_BYTES + 1);
    assert_eq!(part.text(10), "aaaaaaaaaa");
}

#[test]
fn what_is_no_mail_is_one_part() {
    for raw in [&b""[..], b"\r", b"\n\n", b"\0\xff\xfe", b"no header at all", b":", b"--", b"Content-Type: multipart/mixed\n\n--"] {
        let mail = Mail::parse(raw);
        assert!(mail.parts().count() <= 1, "{raw:?}");
        let _ = mail.human();
    }
}

#[test]
fn lines_keep_their_ends() {
    assert_eq!(lines("a\n\nä\r\nb").collect::<Vec<_>>(), ["a\n", "\n", "ä\r\n", "b"]);
    assert_eq!(lines("").count(), 0);
}

#[test]
fn words_part_at_every_blank() {
    for text in ["", " a  b\r\nc\td ", "a\u{b}b", "a\u{a0}ä b\u{3000}c", "a\u{1f}b"] {
        let mut words = Vec::new();
        each_word(text, |it| words.push(it));
        assert_eq!(words, text.split_whitespace().collect::<Vec<_>>(), "{text:?}");
    }
}
