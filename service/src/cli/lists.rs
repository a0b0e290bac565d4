//! `rebound lists`: makes and lists suppression lists. Lists of the configuration need no making.

use std::io::{self, Write as _};
use std::path::Path;

use bounce::policy::Cause;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::page::wrap;
use crate::cli::table::table;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::config::ListName;
use crate::http::PolicyView;
use crate::store::{List, Store};

/// Makes and lists suppression lists.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists the lists.
    List {
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Makes a list, and those above it. One that is there already stays as it is, unless --honours is given.
    Create {
        /// Dotted name: acme.weekly stands below acme.
        #[arg(value_parser = name)]
        name: String,
        /// Automatic causes that block here, with commas; all if left out.
        #[arg(long, value_name = "CAUSES", value_delimiter = ',', value_parser = automatic)]
        honours: Option<Vec<Cause>>,
        /// How to print what was done.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Tells of a list what it honours and how many addresses stand on it.
    Show {
        /// Name of the list.
        name: String,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Tells the policy in force on a list, and where each value of it comes from.
    Policy {
        /// Name of the list.
        name: String,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
}

fn name(text: &str) -> Result<String, String> {
    let wrong = || "use words of a-z, 0-9, '-' and '_' with single dots between, at most 150 octets".to_owned();
    ListName::parse(text).map(|it| it.as_str().to_owned()).ok_or_else(wrong)
}

fn automatic(text: &str) -> Result<Cause, String> {
    let all: Vec<&str> = Cause::ALL.iter().filter(|it| it.is_automatic()).map(|it| it.as_str()).collect();
    text.parse().ok().filter(|it: &Cause| it.is_automatic()).ok_or_else(|| format!("use one of {}", all.join(", ")))
}

/// A list as it is listed.
#[derive(Debug, Serialize)]
struct ListView {
    name: String,
    honours: Option<Vec<&'static str>>,
}

/// A list that was made, or was there.
#[derive(Debug, Serialize)]
struct CreatedView {
    #[serde(flatten)]
    list: ListView,
    created: bool,
}

impl ListView {
    fn new(it: &List) -> Self {
        Self { name: it.name.clone(), honours: it.honours.as_ref().map(|it| it.iter().map(|it| it.as_str()).collect()) }
    }
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        match &args.command {
            Command::Create { name, honours, format } => {
                let known = store.lists().await?.iter().any(|it| it.name == *name);
                if !known || honours.is_some() {
                    store.ensure_list(name, honours.as_deref(), clock.now()).await?;
                }
                let list = store.list(name).await?;
                let view = CreatedView { list: ListView::new(&list), created: !known };
                format.tell(&view, || format!("{name} {}\n", if known { "is there already" } else { "is made" }))?;
            }
            Command::Show { name, format } => {
                let list = store.list(name).await?;
                show(&store, &list, *format, clock.now()).await?;
            }
            Command::Policy { name, format } => {
                let list = store.list(name).await?;
                let view = PolicyView::new(&list, store.policy(&list), &config);
                let text = match format {
                    Output::Json => serde_json::to_string_pretty(&view)? + "\n",
                    Output::Text => policy_page(&view),
                };
                io::stdout().lock().write_all(text.as_bytes())?;
            }
            Command::List { format } => {
                let lists = store.lists().await?;
                print(lists.iter().map(|it| ListView::new(it)).collect(), *format)?;
            }
        }
        Ok(Exit::Success)
    })
}

fn print(lists: Vec<ListView>, format: Output) -> anyhow::Result<()> {
    let text = match format {
        Output::Json => serde_json::to_string_pretty(&lists)? + "\n",
        Output::Text => {
            let head = vec!["LIST".to_owned(), "HONOURS".to_owned()];
            let rows = lists.into_iter().map(|it| vec![it.name, it.honours.map_or_else(|| "everything".to_owned(), |it| it.join(","))]);
            table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        }
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// A list with what stands on it.
#[derive(Debug, Serialize)]
struct Detail {
    name: String,
    above: Vec<String>,
    honours: Option<Vec<&'static str>>,
    standing: Vec<Standing>,
}

#[derive(Debug, Serialize)]
struct Standing {
    cause: &'static str,
    reason: Option<&'static str>,
    count: u64,
}

async fn show(store: &Store, list: &List, format: Output, now: OffsetDateTime) -> anyhow::Result<()> {
    let mut above = Vec::new();
    for id in list.lineage.iter().skip(1) {
        above.push(store.list_by_id(*id).await?.name.clone());
    }
    let counts = store.count_standing(list, now).await?;
    let standing = counts.into_iter().map(|((cause, reason), count)| Standing {
        cause: cause.as_str(),
        reason: reason.map(bounce::classify::reason::Reason::as_str),
        count,
    });
    let honours = list.honours.as_ref().map(|it| it.iter().map(|it| it.as_str()).collect());
    let detail = Detail { name: list.name.clone(), above, honours, standing: standing.collect() };
    let text = match format {
        Output::Json => serde_json::to_string_pretty(&detail)? + "\n",
        Output::Text => detail_page(&detail),
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn detail_page(list: &Detail) -> String {
    let mut out = format!("{}\n", list.name);
    if !list.above.is_empty() {
        out.extend(["what stands on ", &list.above.join(" and "), " holds here too\n"]);
    }
    let honours = list.honours.as_ref().map_or_else(|| "everything".to_owned(), |it| it.join(", "));
    out.extend(["honours ", &honours, "\n"]);
    if list.standing.is_empty() {
        return out + "no address stands on this very list\n";
    }
    let head = ["CAUSE", "REASON", "ADDRESSES"].map(str::to_owned).to_vec();
    let rows = list.standing.iter().map(|it| vec![it.cause.to_owned(), it.reason.unwrap_or("-").to_owned(), it.count.to_string()]);
    out + "\n" + &table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn policy_page(view: &PolicyView) -> String {
    let head = ["REASON", "STRIKES", "WINDOW", "SPAN", "LIFETIME", "REACH", "CHANGED BY"].map(str::to_owned).to_vec();
    let counting = view.reasons.iter().filter(|it| it.counts.value == "true" || it.changed().next().is_some());
    let rows = counting.map(|it| {
        let counts = it.counts.value == "true";
        let cell = |text: &str| if counts { text.to_owned() } else { "-".to_owned() };
        let span = if it.least_span.value == "0s" { "-" } else { &it.least_span.value };
        let changed: Vec<String> = it.changed().map(|(key, value)| format!("{key}: {}", value.from)).collect();
        vec![
            it.reason.to_string(),
            if counts { it.strikes.value.clone() } else { "never counts".to_owned() },
            cell(&it.window.value),
            cell(span),
            cell(&it.lifetime.value),
            cell(&it.reach.value),
            changed.join(", "),
        ]
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let never: Vec<&str> = view.reasons.iter().filter(|it| it.counts.value != "true").map(|it| it.reason.as_str()).collect();
    let mut out = format!("The policy of {}", view.list);
    if view.root != view.list {
        out.extend([", that of the whole tree of ", &view.root]);
    }
    out.push_str("\n\n");
    out.push_str(&table(&rows));
    out.push('\n');
    wrap(
        &mut out,
        "",
        0,
        "A hard failure blocks at once, softer ones by strikes on so many days within the window, the first and the last at least the span apart. A soft block that has ended comes back at the next failure, for twice as long, at most 365d.",
    );
    wrap(
        &mut out,
        "",
        0,
        &format!(
            "What a mail says that anyone could have written, and an unknown domain, blocks for {} until another day confirms it.",
            view.provisional_for
        ),
    );
    wrap(&mut out, "", 0, &format!("Never counting: {}.", never.join(", ")));
    out
}
