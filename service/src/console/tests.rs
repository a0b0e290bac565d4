//! The console through a real socket, as a browser meets it.

mod access;
mod forms;
mod imports;
mod pages;
mod sessions;

use crate::config::Config;
use crate::http::tests::{Answered, Bench, HARD, NOW};
use crate::store::Scope;

/// The service with its console.
async fn bench() -> Bench {
    Bench::new().await.showing(crate::console::pages)
}

/// The same with another configuration.
async fn bench_with(change: impl FnOnce(&mut Config)) -> Bench {
    Bench::with(change).await.showing(crate::console::pages)
}

/// A browser that is signed in.
struct Browser<'a> {
    bench: &'a Bench,
    cookie: String,
}

/// The cookies that an answer sets, as a browser sends them.
fn cookies(answered: &Answered) -> Vec<String> {
    let all = answered.headers.get_all("set-cookie").iter();
    all.filter_map(|it| it.to_str().ok()?.split(';').next().map(str::to_owned)).collect()
}

/// The token of a page's forms.
fn token(page: &str) -> &str {
    let rest = page.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("no form in {page}")).1;
    rest.split('"').next().unwrap()
}

fn body(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

async fn post(bench: &Bench, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answered {
    let request = bench.request("POST", path).header("cookie", cookie).header("content-type", "application/x-www-form-urlencoded");
    bench.send(request.header("sec-fetch-site", "same-origin").body(body(fields))).await
}

/// Sends a key to sign in with, from a page that was asked for.
async fn try_key(bench: &Bench, key: &str, more: &[(&str, &str)]) -> Answered {
    let page = bench.send(bench.request("GET", "/console/sign-in")).await;
    let visit = cookies(&page).remove(0);
    let fields: Vec<_> = [("token", token(&page.text)), ("key", key)].into_iter().chain(more.iter().copied()).collect();
    post(bench, "/console/sign-in", &visit, &fields).await
}

impl<'a> Browser<'a> {
    async fn with(bench: &'a Bench, key: &str) -> Self {
        let answered = try_key(bench, key, &[]).await;
        assert_eq!((answered.status, answered.header("location")), (303, "/console"), "{answered:?}");
        Self { bench, cookie: cookies(&answered).into_iter().find(|it| it.starts_with("rebound-session=")).unwrap() }
    }

    async fn of(bench: &'a Bench, name: &str, scopes: &[Scope], list: Option<&str>) -> Self {
        Self::with(bench, &bench.key_of(name, scopes, list).await).await
    }

    async fn get(&self, path: &str) -> Answered {
        self.bench.send(self.bench.request("GET", path).header("cookie", &self.cookie)).await
    }

    /// Sends a form of one of its pages.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let page = self.get("/console/address").await;
        let fields: Vec<_> = [("token", token(&page.text))].into_iter().chain(fields.iter().copied()).collect();
        post(self.bench, path, &self.cookie, &fields).await
    }
}
