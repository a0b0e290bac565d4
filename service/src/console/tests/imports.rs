//! A list on its way in: a look first, then the same file by one button.

use super::access::multipart;
use super::*;
use crate::store::Scope::{Read, Write};

/// Sends a file, and gives the place of its import.
async fn upload(browser: &Browser<'_>, mode: &str) -> String {
    let page = browser.get("/console/lists/acme.weekly/import").await;
    let request = browser.bench.request("POST", "/console/lists/acme.weekly/import").header("cookie", &browser.cookie);
    let text = multipart(&[("token", token(&page.text)), ("mode", mode), ("cause", "complaint")]);
    let answered = browser.bench.send(request.header("content-type", "multipart/form-data; boundary=b").body(text)).await;
    assert_eq!(answered.status, 303, "{answered:?}");
    answered.header("location").to_owned()
}

/// The page of an import that has come to its end.
async fn ended(browser: &Browser<'_>, place: &str) -> String {
    loop {
        let page = browser.get(place).await;
        assert_eq!(page.status, 200, "{page:?}");
        if !page.text.contains("http-equiv=\"refresh\"") {
            assert!(page.text.contains("completed"), "{}", page.text);
            return page.text;
        }
    }
}

#[tokio::test]
async fn what_was_previewed_is_imported_by_one_button() {
    let bench = bench().await;
    let writer = Browser::of(&bench, "writer", &[Read, Write], None).await;
    let preview = upload(&writer, "preview").await;
    let page = ended(&writer, &preview).await;
    let confirm = format!("{preview}/confirm");
    assert!(page.contains("Nothing was written.") && page.contains(&format!("action=\"{confirm}\"")), "{page}");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
    let (answered, twice) = tokio::join!(writer.post(&confirm, &[]), writer.post(&confirm, &[]));
    assert_eq!((answered.status, twice.status), (303, 303), "{answered:?} {twice:?}");
    let import = answered.header("location").to_owned();
    assert_eq!(twice.header("location"), import, "a double click imports once, and leads there");
    assert_ne!(import, preview);
    assert!(ended(&writer, &import).await.contains("Undo this import"));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("complaint"), "read as it was in the preview");
    let again = writer.post(&confirm, &[]).await;
    assert_eq!((again.status, again.header("location")), (303, import.as_str()), "{again:?}");
    let page = writer.get(&preview).await.text;
    assert!(page.contains(&format!("href=\"{import}\"")) && !page.contains(&confirm), "{page}");
    let refused = writer.post(&format!("{import}/confirm"), &[]).await;
    assert_eq!(refused.status, 409, "an import is no preview: {refused:?}");
}

#[tokio::test]
async fn a_list_is_imported_without_a_look() {
    let bench = bench().await;
    let writer = Browser::of(&bench, "writer", &[Read, Write], None).await;
    let import = upload(&writer, "real").await;
    assert!(ended(&writer, &import).await.contains("Undo this import"));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("complaint"));
}

#[tokio::test]
async fn a_file_is_kept_for_the_session_alone_that_sent_it() {
    let bench = bench().await;
    let key = bench.key_of("writer", &[Read, Write], None).await;
    let (writer, elsewhere) = (Browser::with(&bench, &key).await, Browser::with(&bench, &key).await);
    let preview = upload(&writer, "preview").await;
    ended(&writer, &preview).await;
    let confirm = format!("{preview}/confirm");
    for other in [&elsewhere, &Browser::with(&bench, &bench.key).await] {
        let page = other.get(&preview).await;
        assert!(page.text.contains("The file is not kept here any more.") && !page.text.contains(&confirm), "{page:?}");
        assert_eq!(other.post(&confirm, &[]).await.status, 410);
    }
    assert!(writer.get(&preview).await.text.contains(&confirm), "nobody took it");
    let reader = Browser::of(&bench, "reader", &[Read], None).await;
    assert!(!reader.get(&preview).await.text.contains("Choose the file again"), "who may not import is not asked to");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
}
