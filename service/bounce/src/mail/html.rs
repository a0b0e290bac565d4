//! Text out of HTML, in one pass: enough to read a bounce that was written for a browser. Blocks and line breaks become
//! line ends, tags vanish, character references are resolved.

/// The text that a reader of the page would see.
pub(super) fn text(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, after) = rest.split_at(at);
        words(&mut out, before);
        rest = if after.starts_with('&') { reference(&mut out, after) } else { tag(&mut out, after) };
    }
    words(&mut out, rest);
    out
}

/// Appends text with every run of blanks as one.
fn words(out: &mut String, text: &str) {
    for letter in text.chars() {
        if letter.is_whitespace() {
            if !out.is_empty() && !out.ends_with([' ', '\n']) {
                out.push(' ');
            }
        } else {
            out.push(letter);
        }
    }
}

fn line(out: &mut String) {
    if out.ends_with(' ') {
        out.pop();
    }
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
}

/// Reads a tag that `text` begins with and gives what follows it.
fn tag<'h>(out: &mut String, text: &'h str) -> &'h str {
    if let Some(comment) = text.strip_prefix("<!--") {
        return comment.split_once("-->").map_or("", |(_, rest)| rest);
    }
    let body = text.strip_prefix('<').unwrap_or(text);
    let closing = body.starts_with('/');
    let name_at = body.strip_prefix('/').unwrap_or(body);
    let name = name_at.split(|it: char| !it.is_ascii_alphanumeric()).next().unwrap_or_default();
    if name.is_empty() && !body.starts_with(['!', '?', '/']) {
        // A mail address in angle brackets or a bare sign, not a tag.
        out.push('<');
        return body;
    }
    let inside = body.find(['<', '>']).and_then(|at| body.get(..at)).unwrap_or(body);
    if inside.contains('@') && !inside.contains([' ', '=']) {
        out.push('<');
        return body;
    }
    let rest = body.split_once('>').map_or("", |(_, rest)| rest);
    match name.to_ascii_lowercase().as_str() {
        "script" | "style" | "title" if !closing => skipped(rest, name),
        "br" | "p" | "div" | "tr" | "table" | "li" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "hr" | "blockquote"
        | "pre" | "dt" | "dd" | "body" | "center" | "section" => {
            line(out);
            rest
        }
        "td" | "th" => {
            words(out, " ");
            rest
        }
        _ => rest,
    }
}

/// What follows the end of an element whose content is not text.
fn skipped<'h>(text: &'h str, name: &str) -> &'h str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name)) {
            return after.split_once('>').map_or("", |(_, rest)| rest);
        }
        rest = after;
    }
    ""
}

/// Reads a character reference that `text` begins with and gives what follows it.
fn reference<'h>(out: &mut String, text: &'h str) -> &'h str {
    let body = text.strip_prefix('&').unwrap_or(text);
    let end = body.bytes().take(10).position(|it| !(it.is_ascii_alphanumeric() || it == b'#')).unwrap_or(body.len().min(10));
    let name = body.get(..end).unwrap_or_default();
    let letter = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "auml" => Some('ä'),
        "ouml" => Some('ö'),
        "uuml" => Some('ü'),
        "Auml" => Some('Ä'),
        "Ouml" => Some('Ö'),
        "Uuml" => Some('Ü'),
        "szlig" => Some('ß'),
        "eacute" => Some('é'),
        "egrave" => Some('è'),
        "agrave" => Some('à'),
        "ccedil" => Some('ç'),
        "ntilde" => Some('ñ'),
        "oacute" => Some('ó'),
        "aacute" => Some('á'),
        "iacute" => Some('í'),
        "uacute" => Some('ú'),
        _ => numeric(name),
    };
    if let Some(letter) = letter {
        out.push(letter);
        let rest = body.get(end..).unwrap_or_default();
        rest.strip_prefix(';').unwrap_or(rest)
    } else {
        out.push('&');
        body
    }
}

fn numeric(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code).filter(|it| !it.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_its_reader_sees_it() {
        for (html, plain) in [
            ("<p>Hello<br>there</p><p>x</p>", "Hello\nthere\n\nx\n"),
            ("<style>a > b {}</STYLE>ok<!-- no -->!", "ok!"),
            ("a&lt;b&#64;c.example&gt;&nbsp;&bogus;&", "a<b@c.example> &bogus;&"),
            ("<b>550</b>   5.1.1\n <i>no</i>", "550 5.1.1 no"),
            ("to <jane@example.org> failed", "to <jane@example.org> failed"),
            ("<tr><td>a</td><td>b</td></tr>", "a b\n"),
            ("1 < 2", "1 < 2"),
            ("<unclosed", ""),
        ] {
            assert_eq!(text(html), plain, "{html}");
        }
    }
}
