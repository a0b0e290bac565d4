//! A person at the console, who sends what a browser would send. Pages come as their text, as it is read, and as their markup.

use std::fmt::Write as _;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use url::form_urlencoded::Serializer;

/// Between the parts of a form with a file.
const BOUNDARY: &str = "----rebound-visitor";

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Visitor {
    address: String,
    cookie: String,
    client: Client,
}

/// A page.
#[derive(Debug)]
pub struct Sight {
    /// The status of the answer.
    pub status: StatusCode,
    /// Where it leads to, if it is no page.
    pub location: String,
    /// The page as it came.
    pub markup: String,
    /// What one reads, each stretch of white space being one blank.
    pub text: String,
}

impl Visitor {
    /// Signs in with a key.
    pub async fn sign_in(address: &str, key: &str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().expect("a client");
        let mut visitor = Self { address: address.to_owned(), cookie: String::new(), client };
        let page = visitor.client.get(format!("{address}/console/sign-in")).send().await.expect("an answer");
        visitor.cookie = cookie(&page);
        let page = page.text().await.expect("a page");
        let post = filled(visitor.client.post(format!("{address}/console/sign-in")), &[("token", token(&page)), ("key", key)]);
        let answer = visitor.ask(post).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "signing in");
        visitor.cookie = cookie(&answer);
        visitor
    }

    fn ask(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("cookie", &self.cookie).header("sec-fetch-site", "same-origin")
    }

    async fn see(&self, request: RequestBuilder) -> Sight {
        let answer = self.ask(request).send().await.expect("an answer");
        let location = answer.headers().get("location").and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        let status = answer.status();
        let markup = answer.text().await.expect("a page");
        Sight { status, location, text: text(&markup), markup }
    }

    /// Looks at a page that has to be there.
    pub async fn get(&self, path: &str) -> Sight {
        let page = self.see(self.client.get(format!("{}{path}", self.address))).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        page
    }

    /// Sends a form, with the token that pages give it.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Sight {
        let page = self.get("/console/address").await;
        let fields: Vec<_> = [("token", token(&page.markup))].into_iter().chain(fields.iter().copied()).collect();
        self.see(filled(self.client.post(format!("{}{path}", self.address)), &fields)).await
    }

    /// Sends a file with a form.
    pub async fn upload(&self, path: &str, fields: &[(&str, &str)], file: &str) -> Sight {
        let page = self.get("/console/address").await;
        let mut form = String::new();
        for (name, value) in [("token", token(&page.markup))].iter().chain(fields) {
            write!(form, "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").expect("text grows");
        }
        let head = "Content-Disposition: form-data; name=\"file\"; filename=\"list.csv\"\r\nContent-Type: text/csv";
        write!(form, "--{BOUNDARY}\r\n{head}\r\n\r\n{file}\r\n--{BOUNDARY}--\r\n").expect("text grows");
        let post = self.client.post(format!("{}{path}", self.address));
        self.see(post.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}")).body(form)).await
    }
}

/// A form as it is sent.
fn filled(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

impl Sight {
    /// Where the links and forms of the page lead that begin so, each once, in their order.
    #[must_use]
    pub fn links(&self, prefix: &str) -> Vec<String> {
        let mut links: Vec<String> = Vec::new();
        for link in self.markup.split("href=\"").skip(1).filter_map(|it| it.split('"').next()) {
            let link = link.replace("&amp;", "&");
            if link.starts_with(prefix) && !links.contains(&link) {
                links.push(link);
            }
        }
        links
    }

    /// Where the link of that name leads.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<String> {
        let before = self.markup.split_once(&format!(">{name}</a>"))?.0;
        Some(before.rsplit_once("href=\"")?.1.split('"').next()?.replace("&amp;", "&"))
    }

    /// Fails unless one reads all of this.
    pub fn assert_says(&self, words: &[&str]) {
        for it in words {
            assert!(self.text.contains(it), "{it:?} is not in: {}", self.text);
        }
    }
}

/// The first cookie that an answer sets to something.
fn cookie(answer: &reqwest::Response) -> String {
    let all = answer.headers().get_all("set-cookie").iter().filter_map(|it| it.to_str().ok()?.split(';').next());
    all.filter(|it| !it.ends_with('=')).collect::<Vec<_>>().join("; ")
}

fn token(page: &str) -> &str {
    let rest = page.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("no form in {page}")).1;
    rest.split('"').next().unwrap_or_default()
}

/// The text of a page, without what only the head and lists to choose from have.
fn text(markup: &str) -> String {
    let mut text = String::new();
    let body = markup.split_once("<main").map_or(markup, |it| it.1);
    for piece in body.split('<').skip(1) {
        let Some((tag, words)) = piece.split_once('>') else { continue };
        if !tag.starts_with("option") {
            text.push(' ');
            text.push_str(words);
        }
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
