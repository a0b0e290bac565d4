//! The layers of a configuration as one tree, where every value knows where it came from. A later layer wins key by
//! key. Nothing here knows which keys there are: that is the readers' business.
//!
//! The `config` crate merges layers too, but stops at the first error and cannot say which line a value came from.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem};

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) node: Node,
    pub(super) origin: Origin,
}

/// What stands under a key.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Table(Table),
    List(Vec<Entry>),
    Leaf(toml::Value),
}

pub(super) type Table = BTreeMap<String, Entry>;

/// Reads a TOML text. `origin` turns a line number into the origin of what stands there.
pub(super) fn from_toml(text: &str, origin: &dyn Fn(usize) -> Origin) -> Result<Table, Vec<Problem>> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|it| *it == b'\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(toml_table(table.get_ref(), &|at| origin(line(at))));
    }
    let problem = |error: &toml::de::Error| Problem {
        key: String::new(),
        value: None,
        origin: Some(origin(line(error.span().map_or(0, |it| it.start)))),
        what: format!("not TOML: {}", error.message().replace('\n', ", ")),
        remedy: "correct the line; texts stand in quotes, and a key stands in its [section] once".to_owned(),
    };
    Err(errors.iter().map(problem).collect())
}

fn toml_table(table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Table {
    let entry = |value: &DeValue<'_>, at| Entry { node: toml_node(value, origin), origin: origin(at) };
    table.iter().map(|(key, value)| (key.get_ref().to_string(), entry(value.get_ref(), key.span().start))).collect()
}

fn toml_node(value: &DeValue<'_>, origin: &dyn Fn(usize) -> Origin) -> Node {
    Node::Leaf(match value {
        DeValue::Table(table) => return Node::Table(toml_table(table, origin)),
        DeValue::Array(list) => {
            let entry = |it: &toml::Spanned<DeValue<'_>>| Entry { node: toml_node(it.get_ref(), origin), origin: origin(it.span().start) };
            return Node::List(list.iter().map(entry).collect());
        }
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Boolean(value) => toml::Value::Boolean(*value),
        DeValue::Datetime(value) => toml::Value::Datetime(*value),
        // A number too great for 64 bits stays the text it was, and no reader takes it.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| toml::Value::String(number.as_str().to_owned()), toml::Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| toml::Value::String(number.as_str().to_owned()), toml::Value::Float)
        }
    })
}

/// Builds the layer of the environment: `REBOUND__HTTP__LISTEN` is `http.listen`, `REBOUND__SOURCE__0__NAME` is the name
/// of the first source. A value that is a TOML list or inline table stands for what it says; any other is a text.
pub(super) fn from_environment<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Table {
    let mut layer = Table::new();
    for (name, value) in variables {
        let Some(path) = name.strip_prefix("REBOUND__") else { continue };
        let origin = Origin::Variable(name.to_owned());
        let path = path.to_ascii_lowercase();
        let mut single = None;
        for segment in path.rsplit("__") {
            let node = match single.take() {
                Some(entry) => Node::Table(entry),
                None => variable(value, &origin),
            };
            single = Some(Table::from([(segment.to_owned(), Entry { node, origin: origin.clone() })]));
        }
        merge(&mut layer, single.unwrap_or_default());
    }
    layer
}

fn variable(value: &str, origin: &Origin) -> Node {
    let structured = value.trim_start().starts_with(['[', '{']);
    match DeValue::parse(value.trim()) {
        Ok(parsed) if structured => toml_node(parsed.get_ref(), &|_| origin.clone()),
        _ => Node::Leaf(toml::Value::String(value.to_owned())),
    }
}

/// Reads a JSON object, for `rebound interpret`.
pub(super) fn from_json(object: &serde_json::Map<String, serde_json::Value>) -> Table {
    let entry = |value| Entry { node: json_node(value), origin: Origin::Document };
    object.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), entry(value))).collect()
}

fn json_node(value: &serde_json::Value) -> Node {
    match value {
        serde_json::Value::Object(object) => Node::Table(from_json(object)),
        serde_json::Value::Array(list) => {
            Node::List(list.iter().map(|it| Entry { node: json_node(it), origin: Origin::Document }).collect())
        }
        serde_json::Value::Bool(value) => Node::Leaf(toml::Value::Boolean(*value)),
        serde_json::Value::String(text) => Node::Leaf(toml::Value::String(text.clone())),
        other => Node::Leaf(other.as_i64().map_or_else(|| toml::Value::String(other.to_string()), toml::Value::Integer)),
    }
}

/// Lays `over` on `base`: tables key by key, a numbered table element by element over a list, anything else as a whole.
/// A key and the same key with `_file` are one: the later layer's stands.
pub(super) fn merge(base: &mut Table, over: Table) {
    for key in over.keys() {
        let twin = key.strip_suffix("_file").map_or_else(|| format!("{key}_file"), str::to_owned);
        if !over.contains_key(&twin) && base.get(&twin).is_some_and(|it| !matches!(it.node, Node::Table(_))) {
            base.remove(&twin);
        }
    }
    for (key, entry) in over {
        let Some(below) = base.get_mut(&key) else {
            base.insert(key, entry);
            continue;
        };
        match (&mut below.node, entry.node) {
            (Node::Table(below), Node::Table(over)) => merge(below, over),
            (Node::List(list), Node::Table(over)) if over.keys().all(|it| it.parse::<usize>().is_ok()) => {
                let mut numbered = list.drain(..).enumerate().map(|(at, it)| (at.to_string(), it)).collect();
                merge(&mut numbered, over);
                below.node = Node::Table(numbered);
            }
            (_, node) => *below = Entry { node, origin: entry.origin },
        }
    }
}

impl Entry {
    /// The elements in order, of a list or of a table numbered from 0 without a gap.
    pub(super) fn elements(&self) -> Option<Vec<&Self>> {
        match &self.node {
            Node::List(list) => Some(list.iter().collect()),
            Node::Table(table) => (0..table.len()).map(|at| table.get(&at.to_string())).collect(),
            Node::Leaf(_) => None,
        }
    }
}

/// Where the value of a dotted key came from.
pub(super) fn origin_of(table: &Table, key: &str) -> Option<Origin> {
    let mut steps = key.split(['.', '[']).map(|it| it.trim_end_matches(']'));
    let first = steps.next()?;
    let mut entry = table.get(first).or_else(|| table.get(&format!("{first}_file")))?;
    for step in steps {
        let below = match &entry.node {
            Node::Table(table) => table.get(step).or_else(|| table.get(&format!("{step}_file"))),
            Node::List(list) => step.parse::<usize>().ok().and_then(|at| list.get(at)),
            Node::Leaf(_) => None,
        };
        match below {
            Some(below) => entry = below,
            // The key itself is not written anywhere: its section, or its default, is as near as one gets.
            None => return (entry.origin != Origin::Default).then(|| entry.origin.clone()),
        }
    }
    Some(entry.origin.clone())
}

/// The layer of a file.
pub(super) fn from_file(path: &Path) -> Result<Table, Vec<Problem>> {
    let origin = |line| Origin::File { path: path.to_owned(), line };
    let whole = origin(None);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let remedy = "name a readable UTF-8 file by --config or REBOUND_CONFIG, or leave both out".to_owned();
        vec![Problem { key: String::new(), value: None, origin: Some(whole), what: format!("cannot be read: {error}"), remedy }]
    })?;
    from_toml(&text, &|line| origin(Some(line)))
}
