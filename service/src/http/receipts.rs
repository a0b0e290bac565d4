//! Raw receipts, for those who may see everything.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::http::State;
use crate::http::keys::Caller;
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::store::ReceiptId;

/// Hands out what came in, byte for byte.
///
/// As an attachment of type `text/plain`, so that no browser makes anything of it.
#[utoipa::path(get, path = "/v1/receipts/{id}/raw", tag = "addresses", security(("bearer" = ["admin"])),
    params(("id" = Uuid, Path, example = "0199c0de-7a11-7000-8000-000000000001")),
    responses(
        (status = 200, description = "the raw bytes", body = String, content_type = "text/plain",
            example = "From: MAILER-DAEMON@mx.example.net\r\n…"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope admin", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such receipt, or its bytes are kept no longer", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_raw(state: web::Data<State>, caller: Caller, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let none = || Problem::new(ProblemKind::NotFound, "there is no receipt of this id that this key may see");
    let id = Uuid::try_parse(&path).map_err(|_| none())?;
    let receipt = state.store.raw_receipt(ReceiptId(id)).await?.ok_or_else(none)?;
    let list = state.store.list_by_id(receipt.list).await?;
    if !caller.reaches(&list) {
        return Err(none());
    }
    let body = receipt.body.ok_or_else(|| Problem::new(ProblemKind::NotFound, "the bytes of this receipt are kept no longer"))?;
    let attachment = format!("attachment; filename=\"receipt-{id}.txt\"");
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_DISPOSITION, attachment)).insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(answer.content_type("text/plain").body(body))
}
