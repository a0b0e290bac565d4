//! Bad input of every kind: a clear answer, never a 500, never a lost neighbour.

use actix_web::middleware::from_fn;
use actix_web::{HttpMessage, test};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::config::Size;
use crate::http::edge::{Access, Poster};

/// Method, path, content type, body; status and problem.
type Row<'a> = (&'a str, &'a str, &'a str, &'a [u8], u16, &'a str);

const JSON: &str = "application/json";
const MESSAGE: &str = "message/rfc822";

#[tokio::test]
async fn what_cannot_be_read_is_told_so() {
    let bench = Bench::new().await;
    let rows: &[Row<'_>] = &[
        ("GET", "/nowhere", "", b"", 404, "not-found"),
        ("GET", "/v1", "", b"", 404, "not-found"),
        ("DELETE", "/v1/check", "", b"", 405, "method-not-allowed"),
        ("POST", "/healthz", "", b"", 405, "method-not-allowed"),
        ("POST", "/v1/check", JSON, b"", 400, "invalid-body"),
        ("POST", "/v1/check", JSON, b"not json", 400, "invalid-body"),
        ("POST", "/v1/check", JSON, b"{\"list\":\"acme\",\"addresses\":[", 400, "invalid-body"),
        ("POST", "/v1/check", JSON, b"{\"list\":\"acme\"}", 400, "invalid-body"),
        ("POST", "/v1/check", JSON, b"{\"list\":\"acme\",\"addresses\":\"x\"}", 400, "invalid-body"),
        ("POST", "/v1/check", JSON, b"{\"list\":\"acme\",\"adresses\":[]}", 400, "invalid-body"),
        ("POST", "/v1/check", JSON, b"{\"list\":\"\xff\",\"addresses\":[]}", 400, "invalid-body"),
        ("POST", "/v1/check", "text/csv", b"x", 415, "unsupported-media-type"),
        ("POST", "/v1/check", JSON, b"{\"list\":\"nowhere\",\"addresses\":[]}", 404, "not-found"),
        ("POST", "/v1/check", JSON, b"{\"list\":\"a\\u0000\",\"addresses\":[]}", 404, "not-found"),
        ("POST", "/v1/check?list=acme&lists=x", JSON, b"{\"addresses\":[]}", 400, "invalid-request"),
        ("POST", "/v1/check?list=acme", JSON, b"{\"list\":\"other\",\"addresses\":[]}", 400, "invalid-request"),
        ("POST", "/v1/check", JSON, b"{\"addresses\":[]}", 400, "invalid-request"),
        ("GET", "/v1/check?list=acme&address=a@b.example&why=perhaps", "", b"", 400, "invalid-request"),
        ("POST", "/v1/check", "application/x-ndjson", b"jane@example.org\n", 400, "invalid-request"),
        ("GET", "/v1/check", "", b"", 400, "invalid-request"),
        ("GET", "/v1/check?list=acme", "", b"", 400, "invalid-request"),
        ("GET", "/v1/check?list=acme&adress=a@b.example", "", b"", 400, "invalid-request"),
        ("GET", "/v1/check?list=nowhere&address=a@b.example", "", b"", 404, "not-found"),
        ("GET", "/v1/check?list=%00&address=a@b.example", "", b"", 404, "not-found"),
        ("GET", "/v1/check?list=acme&address=nobody", "", b"", 400, "invalid-address"),
        ("GET", "/v1/check?list=acme&address=", "", b"", 400, "invalid-address"),
        ("GET", "/v1/check?list=acme&address=a%00@b.example", "", b"", 400, "invalid-address"),
        ("GET", "/v1/check?list=acme&address=%ff@b.example", "", b"", 400, "invalid-address"),
        ("GET", "/v1/addresses/nobody", "", b"", 400, "invalid-address"),
        ("GET", "/v1/addresses/a%00@b.example", "", b"", 400, "invalid-address"),
        ("GET", "/v1/addresses/%ff@b.example", "", b"", 400, "invalid-address"),
        ("GET", "/v1/addresses/a@b.example?limit=0", "", b"", 400, "invalid-request"),
        ("GET", "/v1/lists/acme%00/suppressions/a@b.example", "", b"", 404, "not-found"),
        ("GET", "/v1/lists/%ff/suppressions/a@b.example", "", b"", 404, "not-found"),
        ("PUT", "/v1/lists/nowhere/suppressions/a@b.example", "", b"", 404, "not-found"),
        ("PUT", "/v1/lists/acme/suppressions/a@b.example", JSON, b"[]", 400, "invalid-body"),
        ("PUT", "/v1/lists/acme/suppressions/a@b.example", JSON, b"{\"action\":\"maybe\"}", 400, "invalid-body"),
        ("PUT", "/v1/lists/acme/suppressions/a@b.example", JSON, b"{\"overrides_consent\":true}", 400, "invalid-body"),
        ("PUT", "/v1/lists/acme/suppressions/a@b.example", "text/plain", b"block", 415, "unsupported-media-type"),
        ("DELETE", "/v1/lists/acme/suppressions/a@b.example?cause=nonsense", "", b"", 400, "invalid-request"),
        ("DELETE", "/v1/lists/acme/suppressions/a@b.example", "", b"", 404, "not-found"),
        ("GET", "/v1/events?after=x", "", b"", 400, "invalid-request"),
        ("GET", "/v1/events?after=%ff", "", b"", 400, "invalid-request"),
        ("GET", "/v1/events?limit=1001", "", b"", 400, "invalid-request"),
        ("GET", "/v1/events?limit=-1", "", b"", 400, "invalid-request"),
        ("GET", "/v1/changes?list=nowhere", "", b"", 404, "not-found"),
        ("GET", "/v1/codes/999", "", b"", 404, "not-found"),
        ("GET", "/v1/codes/%00", "", b"", 404, "not-found"),
        ("POST", "/v1/messages", MESSAGE, b"x", 400, "invalid-request"),
        ("POST", "/v1/messages?list=nowhere", MESSAGE, b"x", 404, "not-found"),
        ("POST", "/v1/messages?list=acme", MESSAGE, b"", 400, "invalid-body"),
        ("POST", "/v1/messages?list=acme", MESSAGE, b" \r\n", 400, "invalid-body"),
        ("POST", "/v1/messages?list=acme", JSON, b"{}", 415, "unsupported-media-type"),
        ("POST", "/v1/messages?list=acme", "multipart/form-data", b"x", 400, "invalid-body"),
        ("POST", "/v1/messages?list=acme", "multipart/form-data; boundary=b", b"x", 400, "invalid-body"),
        ("POST", "/v1/diagnose", JSON, b"", 400, "invalid-body"),
        ("POST", "/v1/diagnose", JSON, b"{}", 400, "invalid-body"),
        ("POST", "/v1/diagnose", JSON, b"{\"reply\":\" \"}", 400, "invalid-body"),
        ("POST", "/v1/diagnose", "text/plain", b"", 400, "invalid-body"),
        ("POST", "/v1/diagnose", MESSAGE, b"", 400, "invalid-body"),
        ("POST", "/v1/diagnose", "image/png", b"x", 415, "unsupported-media-type"),
        ("POST", "/webhooks/nobody", JSON, b"{}", 404, "not-found"),
        ("POST", "/webhooks/%ff", JSON, b"{}", 404, "not-found"),
        ("GET", "/problems/nothing", "", b"", 404, "not-found"),
    ];
    for (method, path, content_type, body, status, problem) in rows {
        let answered = if content_type.is_empty() {
            bench.send(bench.request(method, path).bearer_auth(&bench.key)).await
        } else {
            bench.ask(method, path, content_type, body.to_vec()).await
        };
        let told = (answered.status, answered.problem());
        assert_eq!((told.0, told.1.as_str()), (*status, *problem), "{method} {path} {} {answered:?}", String::from_utf8_lossy(body));
        assert!(answered.json()["detail"].as_str().is_some_and(|it| !it.is_empty()), "{answered:?}");
    }
    assert_eq!(bench.state.store.list("nowhere").await.unwrap_err().to_string(), "there is no list named \"nowhere\"");
}

#[tokio::test]
async fn an_address_of_ten_thousand_characters_is_no_address() {
    let bench = Bench::new().await;
    let long = format!("{}@example.org", "a".repeat(10_000));
    for path in
        [format!("/v1/check?list=acme&address={long}"), format!("/v1/addresses/{long}"), format!("/v1/lists/acme/suppressions/{long}")]
    {
        let answered = bench.get(&path).await;
        assert_eq!((answered.status, answered.problem().as_str()), (400, "invalid-address"));
        assert!(!answered.text.contains("aaaa"), "an answer does not give it back");
    }
    let asked = serde_json::json!({"list": "acme", "addresses": [long, "jane@example.org"]});
    let answered = bench.json("POST", "/v1/check", asked).await.json();
    assert_eq!((&answered["checked"], answered["invalid"].as_array().unwrap().len()), (&2.into(), 1));
}

#[tokio::test]
async fn the_methods_of_a_route_are_named() {
    let bench = Bench::new().await;
    for (path, allow) in
        [("/v1/check", "GET, HEAD, POST"), ("/v1/lists/acme/suppressions/a@b.example", "GET, HEAD, PUT, DELETE"), ("/v1/messages", "POST")]
    {
        let answered = bench.send(bench.request("PATCH", path)).await;
        assert_eq!((answered.status, answered.header("allow")), (405, allow), "{path}");
    }
    let head = bench.send(bench.request("HEAD", "/v1/lists").bearer_auth(&bench.key)).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let bench = Bench::with(|config| {
        config.http.max_body = Size(4096);
        config.http.max_webhook_body = Size(2048);
    })
    .await;
    let large = vec![b'x'; 4 << 20];
    for (path, content_type, key) in [
        ("/v1/messages?list=acme", MESSAGE, "http.max_body"),
        ("/v1/check", JSON, "http.max_body"),
        ("/v1/diagnose", MESSAGE, "http.max_body"),
        ("/v1/diagnose", "text/plain", "for a reply"),
        ("/v1/lists/acme/suppressions/a@b.example", JSON, "http.max_body"),
        ("/webhooks/bounces", JSON, "http.max_webhook_body"),
    ] {
        let method = if path.contains("suppressions") { "PUT" } else { "POST" };
        let announced = bench.ask(method, path, content_type, large.clone()).await;
        assert_eq!((announced.status, announced.problem().as_str()), (413, "too-large"), "{path}");
        assert!(announced.text.contains(key), "{announced:?}");
        let streamed = in_chunks(&bench, method, path, content_type, &large).await;
        assert!(streamed.starts_with("HTTP/1.1 413 ") && streamed.contains("/problems/too-large"), "{path} {streamed}");
    }
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"bounces\",why=\"too_large\"}"), 2);
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"api\",why=\"too_large\"}"), 2);
    // The next one is fine.
    assert_eq!(bench.hand_in(HARD).await.status, 200);
}

/// Sends a body whose length is not announced, and reads the answer.
async fn in_chunks(bench: &Bench, method: &str, path: &str, content_type: &str, body: &[u8]) -> String {
    let (mut from, mut to) = TcpStream::connect(bench.base.strip_prefix("http://").unwrap()).await.unwrap().into_split();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {content_type}\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        bench.key
    );
    let mut request = head.into_bytes();
    for chunk in body.chunks(64 << 10) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    // The service may have stopped listening by then.
    let sending = tokio::spawn(async move { to.write_all(&request).await });
    let mut answer = Vec::new();
    from.read_to_end(&mut answer).await.unwrap();
    sending.abort();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn more_addresses_than_a_check_may_have_are_refused() {
    let bench = Bench::with(|config| config.http.max_check = 2).await;
    let asked = serde_json::json!({"list": "acme", "addresses": ["a@b.example", "c@b.example", "d@b.example"]});
    let answered = bench.json("POST", "/v1/check", asked).await;
    assert_eq!((answered.status, answered.problem().as_str()), (413, "too-large"));
    assert!(answered.text.contains("http.max_check"), "{answered:?}");
}

#[tokio::test]
async fn a_compressed_body_is_not_taken() {
    let bench = Bench::new().await;
    let request = bench.request("POST", "/v1/messages?list=acme").bearer_auth(&bench.key);
    let answered = bench.send(request.header("content-encoding", "gzip").header("content-type", MESSAGE).body("x")).await;
    assert_eq!((answered.status, answered.problem().as_str()), (415, "unsupported-media-type"));
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let bench = Bench::with(|config| config.http.request_timeout = Duration::from_millis(50)).await;
    let head = format!(
        "POST /v1/messages?list=acme HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: message/rfc822\r\ncontent-length: 9\r\n\r\nabc",
        bench.key
    );
    let mut socket = TcpStream::connect(bench.base.strip_prefix("http://").unwrap()).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("/problems/request-timeout"), "{answer}");
}

#[actix_web::test]
async fn a_handler_that_panics_or_never_ends_is_answered_for() {
    let bench = Bench::with(|config| config.http.request_timeout = Duration::from_millis(50)).await;
    let admitted =
        |route: actix_web::Route| route.wrap(from_fn(|request, next| edge::admit(Access::Open, edge::Patience::Request, request, next)));
    let panics = || async { if NOW.year() > 0 { panic!("as asked") } else { "" } };
    let app = App::new()
        .app_data(web::Data::new(bench.state.clone()))
        .app_data(web::Data::from(bench.state.telemetry.clone()))
        .route("/panics", admitted(web::get().to(panics)))
        .route("/hangs", admitted(web::get().to(std::future::pending::<&str>)))
        .wrap(from_fn(edge::answer));
    let app = test::init_service(app).await;
    for (path, status, kind) in [("/panics", 500, "internal"), ("/hangs", 503, "unavailable")] {
        let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
        assert_eq!(response.status(), status);
        let problem: Value = test::read_body_json(response).await;
        assert_eq!(problem["type"], format!("/problems/{kind}"));
    }
    assert_eq!(bench.metric("rebound_failures_total{stage=\"http\"}"), 1);
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up_in_the_way_of_its_provider() {
    let bench = Bench::with(|config| {
        config.http.request_timeout = Duration::from_millis(50);
        config.sources.extend([source("brevo", "brevo"), source("ses", "ses")]);
    })
    .await;
    // To Brevo a 408 and a 503 are the end of an event, to SNS a 408.
    for (name, status) in [("brevo", 429), ("ses", 503)] {
        let head = format!("POST /webhooks/{name} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\nabc");
        let mut socket = TcpStream::connect(bench.base.strip_prefix("http://").unwrap()).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
    }
}

#[tokio::test]
async fn a_post_over_the_limit_is_refused_in_the_way_of_its_provider() {
    let providers = [("brevo", 413), ("mailgun", 406), ("postmark", 403), ("sparkpost", 413)];
    let bench = Bench::with(|config| {
        config.http.max_webhook_body = Size(8);
        config.sources.extend(providers.map(|(name, _)| source(name, name)));
    })
    .await;
    for (name, status) in providers {
        let answered = bench.ask("POST", &format!("/webhooks/{name}"), JSON, b"[ 1, 2, 3 ]".to_vec()).await;
        assert_eq!((answered.status, answered.problem().as_str()), (status, "too-large"), "{name}");
    }
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"mailgun\",why=\"too_large\"}"), 1);
}

#[actix_web::test]
async fn a_provider_whose_post_meets_a_fault_of_ours_is_told_to_come_again() {
    let bench = Bench::with(|config| config.http.request_timeout = Duration::from_millis(50)).await;
    let admitted =
        |route: actix_web::Route| route.wrap(from_fn(|request, next| edge::admit(Access::Open, edge::Patience::Request, request, next)));
    let posted = |request: &actix_web::HttpRequest| request.extensions_mut().insert(Poster(bounce::esp::provider("brevo").unwrap()));
    let hangs = move |request: actix_web::HttpRequest| {
        posted(&request);
        std::future::pending::<&str>()
    };
    let panics = move |request: actix_web::HttpRequest| async move {
        posted(&request);
        if NOW.year() > 0 { panic!("as asked") } else { "" }
    };
    let app = App::new()
        .app_data(web::Data::new(bench.state.clone()))
        .route("/panics", admitted(web::get().to(panics)))
        .route("/hangs", admitted(web::get().to(hangs)))
        .wrap(from_fn(edge::answer));
    let app = test::init_service(app).await;
    for path in ["/panics", "/hangs"] {
        let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
        assert_eq!(response.status(), 429, "{path}");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_used_and_another_is_not() {
    let bench = Bench::new().await;
    for (given, used) in [("my-id_1.2", true), ("", false), ("a b", false), ("jane@example.org", false), (&*"x".repeat(65), false)] {
        let answered = bench.send(bench.request("GET", "/nowhere").header("x-request-id", given)).await;
        assert_eq!(answered.problem(), "not-found");
        let id = answered.header("x-request-id");
        assert_eq!(id == given, used, "{given:?} {id:?}");
        assert!(used || uuid::Uuid::parse_str(id).is_ok(), "{id}");
    }
    let fine = bench.send(bench.request("GET", "/healthz").header("x-request-id", "abc")).await;
    assert_eq!((fine.status, fine.text.as_str(), fine.header("x-request-id")), (200, "ok\n", "abc"));
}
