//! The stylesheet and the sign of the service, which the program carries. Their paths hold a digest of what they say, so that browsers
//! keep them for good and still get another one when there is one.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use data_encoding::HEXLOWER;

use crate::console::page::nothing;
use crate::http::Problem;
use crate::store::sha256;

const STYLE: &str = include_str!("console.css");
const ICON: &str = include_str!("icon.svg");

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path("console", STYLE, "css"));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path("icon", ICON, "svg"));

fn path(name: &str, content: &str, extension: &str) -> String {
    let digest = HEXLOWER.encode(&sha256(&[content.as_bytes()]));
    format!("/console/assets/{name}-{}.{extension}", digest.get(..12).unwrap_or_default())
}

/// Path of the stylesheet.
pub(super) fn stylesheet() -> &'static str {
    &STYLE_PATH
}

/// Path of the sign.
pub(super) fn icon() -> &'static str {
    &ICON_PATH
}

/// A file of the pages.
pub(super) async fn get_asset(file: web::Path<String>) -> Result<HttpResponse, Problem> {
    let is = |path: &str| path.rsplit('/').next() == Some(file.as_str());
    let (media_type, content) = match () {
        () if is(stylesheet()) => ("text/css; charset=utf-8", STYLE),
        () if is(icon()) => ("image/svg+xml", ICON),
        () => return Err(nothing("such file")),
    };
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    answer.insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'"));
    Ok(answer.content_type(media_type).body(content))
}
