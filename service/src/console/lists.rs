//! The lists that a key sees.

use std::sync::Arc;

use actix_web::web;
use maud::html;

use crate::console::elements::{empty, words};
use crate::console::page::{Page, Place};
use crate::console::session::Visit;
use crate::http::keys::Caller;
use crate::http::{Problem, State};
use crate::store::{List, Scope};

/// The lists, as the tree that they are.
pub(super) async fn get_lists(state: web::Data<State>, visit: Visit, caller: Caller) -> Result<Page, Problem> {
    let mut lists: Vec<Arc<List>> = state.store.lists().await?.into_iter().filter(|it| caller.reaches(it)).collect();
    lists.sort_by(|a, b| a.name.cmp(&b.name));
    let content = html! {
        @if lists.is_empty() {
            (empty("There is no list yet.", &html! { "Add a " code { "[[list]]" } " with a name to the configuration, and start the service again." }))
        } @else {
            div.card.scroll tabindex="0" role="group" aria-label="Lists" {
                table {
                    thead { tr { th scope="col" { "List" } th scope="col" { "Honours" } th scope="col" { span.hidden { "What to do" } } } }
                    tbody { @for it in &lists {
                        tr {
                            th scope="row" {
                                @for _ in 1..it.lineage.len() { span.branch aria-hidden="true" { "└ " } }
                                a href={ "/console/lists/" (it.name) } { (it.name) }
                            }
                            td { @match &it.honours {
                                None => "every cause",
                                Some(causes) if causes.is_empty() => "people's word alone",
                                Some(causes) => @for cause in causes { (words(cause.as_str())) " " },
                            } }
                            td.links {
                                a href={ "/console/events?list=" (it.name) } aria-label={ "Events of " (it.name) } { "Events" } " "
                                a href={ "/console/lists/" (it.name) "/export?format=csv" } aria-label={ "Export " (it.name) } { "Export" } " "
                                @if visit.may(Scope::Write) { a href={ "/console/lists/" (it.name) "/import" } aria-label={ "Import into " (it.name) } { "Import" } }
                            }
                        }
                    } }
                }
            }
            p.quiet { "What stands on a list holds for those below it too; bounces and complaints stand at the root of the tree." }
        }
    };
    Ok(Page::new(&visit, Place::Lists, "Lists", &content))
}
