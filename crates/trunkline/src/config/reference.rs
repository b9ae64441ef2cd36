//! The pages `docs/configuration.md` and `docs/presets.md`, written from the structs of
//! [`super::raw`] and from the presets, and the tests that they are what those say.

mod presets;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// One table of the file.
#[derive(Debug, Default)]
struct Table {
    name: String,
    text: String,
    keys: Vec<Key>,
}

#[derive(Debug, Default)]
struct Key {
    name: String,
    kind: String,
    text: String,
}

/// In the order a reader meets them; every table not named comes after.
const ORDER: [&str; 8] = [
    "Gateway",
    "Tls",
    "Media",
    "Trunk",
    "Numbers",
    "Options",
    "Route",
    "Interface",
];

/// Reads structs, their keys and their comments from the source of the raw tables.
fn tables(source: &str) -> Vec<Table> {
    let (mut found, mut text): (Vec<Table>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut open = false;
    for line in source.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            text.push(comment.trim());
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            open = rest.ends_with('{');
            found.push(Table {
                name,
                text: std::mem::take(&mut text).join(" "),
                keys: Vec::new(),
            });
        } else if let (true, Some(table)) = (open, found.last_mut())
            && let Some((name, kind)) = line.strip_prefix("pub ").and_then(|l| l.split_once(": "))
        {
            table.keys.push(Key {
                name: name.trim_start_matches("r#").to_owned(),
                kind: kind.trim_end_matches(',').to_owned(),
                text: std::mem::take(&mut text).join(" "),
            });
        } else if line == "}" {
            open = false;
            text.clear();
        } else if !line.starts_with("#[") {
            text.clear();
        }
    }
    found
}

/// What may be written, in an operator's words.
fn kind(rust: &str) -> Option<&'static str> {
    let plain = rust
        .trim_start_matches("Option<")
        .trim_start_matches("Spanned<")
        .trim_start_matches("super::")
        .trim_end_matches('>');
    Some(match plain {
        "String" => "text",
        "u8" | "u16" | "u32" | "u64" => "number",
        "Vec<u16" | "Vec<u32" => "list of numbers",
        "bool" => "`true` or `false`",
        "IpAddr" => "address",
        "Span" => "time",
        "OneOrMany" => "text or list",
        _ => return None,
    })
}

fn page(tables: &[Table]) -> String {
    let mut page = String::from(
        "# Configuration reference\n\n\
         One TOML file. Unknown keys and wrong types are errors with file, line and column. Times \
         are written `\"500ms\"`, `\"4s\"`, `\"2m\"`, `\"1h 30m\"`; secrets as `\"${NAME}\"` come from the \
         environment; file names start from the folder of the file. `trunkline check -c FILE` \
         judges it.\n\n\
         This page is written from the program's own tables; `presets.md` says what each preset \
         sets. `trunkline reload` takes changes of trunks, routes, announcements, limits of calls, \
         certificates and roots; the rest takes a restart, and is refused by name.\n",
    );
    for table in tables.iter().filter(|table| !table.keys.is_empty()) {
        let (heading, text) = table.text.split_once(": ").unwrap_or((&table.name, ""));
        let _ = write!(page, "\n## {heading}\n\n");
        if !text.is_empty() {
            let _ = write!(page, "{}\n\n", capital(text));
        }
        page.push_str("| key | is | means |\n| --- | --- | --- |\n");
        for key in &table.keys {
            let of = |name: &str| tables.iter().find(|table| table.name == name);
            let bare: String = key
                .kind
                .trim_start_matches("Option<")
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            // A table without keys is none yet.
            if of(&bare).is_some_and(|table| table.keys.is_empty()) {
                continue;
            }
            let is = kind(&key.kind).unwrap_or("table");
            let required = !key.kind.starts_with("Option<")
                && !key.kind.starts_with("OneOrMany")
                && is != "table";
            let text = key.text.replace('|', "\\|");
            let text = if required {
                format!("{text} Required.")
            } else {
                text
            };
            let _ = writeln!(page, "| `{}` | {is} | {text} |", key.name);
        }
    }
    page
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[test]
fn the_reference_page_is_what_the_tables_say() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("src/config/raw"))
        .expect("the raw tables")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "scalars.rs"))
        .collect();
    files.sort();
    let mut all: Vec<Table> = files
        .iter()
        .flat_map(|file| tables(&fs::read_to_string(file).expect("readable")))
        .collect();
    all.sort_by_key(|table| {
        let place = ORDER.iter().position(|name| *name == table.name);
        place.unwrap_or(ORDER.len())
    });
    for table in &all {
        for key in &table.keys {
            assert!(
                !key.text.is_empty(),
                "{}.{} is not explained",
                table.name,
                key.name
            );
        }
    }
    is_current("docs/configuration.md", &page(&all));
}

/// Fails where a page differs from what it should be; with UPDATE_EXPECT=1 it is written anew.
fn is_current(page: &str, written: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(page);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, written).expect("the page can be written");
    }
    let there = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == written,
        "{page} is old: run the tests of trunkline with UPDATE_EXPECT=1 ({})",
        first_difference(&there, written, Path::new(page))
    );
}

fn first_difference(there: &str, written: &str, file: &Path) -> String {
    let line = there
        .lines()
        .zip(written.lines())
        .position(|(old, new)| old != new)
        .unwrap_or_else(|| there.lines().count().min(written.lines().count()));
    format!("{}:{}", file.display(), line + 1)
}
