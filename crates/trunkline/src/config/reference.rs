//! The reference page `docs/configuration.md`, written from the structs of [`super::raw`] and from
//! the presets, and the test that it is what they say.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use b2bua::profile::{Advertised, Preset, TrunkProfile};
use sip_msg::wire::{ListenerId, TrunkName};
use sip_transport::{FlowPolicy, TrunkFlow};

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
        .trim_end_matches('>');
    Some(match plain {
        "String" => "text",
        "u8" | "u16" | "u32" | "u64" => "number",
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
         This page is written from the program's own tables. `trunkline reload` takes changes of \
         trunks, routes, limits of calls, certificates and roots; the rest takes a restart, and is \
         refused by name.\n",
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

fn preset(preset: Preset) -> (TrunkProfile, TrunkFlow) {
    let advertised = Advertised {
        host: Arc::from("sbc1.contoso.example"),
        port: 5061,
    };
    let (name, at) = (TrunkName::from("trunk"), ListenerId(0));
    let profile = match preset {
        Preset::Acs => TrunkProfile::acs(name.clone(), advertised, at),
        Preset::Teams => TrunkProfile::teams(name.clone(), advertised, at),
        Preset::Carrier => TrunkProfile::carrier(name.clone(), advertised, at, Vec::new()),
        Preset::Pbx => TrunkProfile::pbx(name.clone(), advertised, at, Vec::new()),
    };
    let policy = if preset.is_microsoft() {
        FlowPolicy::OneWay
    } else {
        FlowPolicy::Reuse
    };
    (profile, TrunkFlow::new(name, policy))
}

/// What each preset sets, read from the presets themselves.
fn presets() -> String {
    let list = |items: Vec<String>| match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    };
    let time = |time: Duration| humantime::format_duration(time).to_string();
    let maybe = |value: Option<Duration>| value.map_or_else(|| "never".to_owned(), time);
    type Row<'a> = (
        &'a str,
        Box<dyn Fn(&TrunkProfile, &TrunkFlow) -> String + 'a>,
    );
    let rows: Vec<Row<'_>> = vec![
        (
            "`peers`",
            Box::new(|p, _| list(p.peers.iter().map(|peer| peer.uri.to_string()).collect())),
        ),
        (
            "`allow`",
            Box::new(|p, _| list(p.allow.iter().map(ToString::to_string).collect())),
        ),
        (
            "`peer_names`",
            Box::new(|p, _| list(p.expected_names.iter().map(ToString::to_string).collect())),
        ),
        ("`srtp`", Box::new(|p, _| p.srtp.to_string())),
        (
            "RTCP on the port of RTP",
            Box::new(|p, _| p.rtcp_mux.to_string()),
        ),
        ("hold is said as", Box::new(|p, _| format!("{:?}", p.hold))),
        (
            "media is taken from",
            Box::new(|p, _| format!("{:?}", p.latch)),
        ),
        ("identity", Box::new(|p, _| format!("{:?}", p.trust))),
        (
            "`options.interval` ± `jitter`",
            Box::new(|p, _| format!("{} ± {}", time(p.options.interval), time(p.options.jitter))),
        ),
        (
            "`options.interval_down`",
            Box::new(|p, _| time(p.options.interval_down)),
        ),
        (
            "`options.losses`",
            Box::new(|p, _| p.options.losses.to_string()),
        ),
        (
            "`options.expect_inbound`",
            Box::new(|p, _| maybe(p.options.expect_inbound)),
        ),
        (
            "`options.expired_after`",
            Box::new(|p, _| time(p.options.expired_after)),
        ),
        (
            "`connection.flows`",
            Box::new(|_, f| format!("{:?}", f.flows)),
        ),
        (
            "`connection.connect`",
            Box::new(|_, f| time(f.connect_timeout)),
        ),
        (
            "`connection.keep_alive`",
            Box::new(|_, f| maybe(f.keep_alive)),
        ),
        ("`connection.idle`", Box::new(|_, f| maybe(f.idle))),
        ("`connection.renewal`", Box::new(|_, f| maybe(f.renewal))),
        (
            "`connection.backoff` to `backoff_max`",
            Box::new(|_, f| {
                format!(
                    "{} to {}",
                    time(f.reconnect.first),
                    time(f.reconnect.longest)
                )
            }),
        ),
        (
            "`attempt_timeout`",
            Box::new(|p, _| time(p.timers.attempt_timeout)),
        ),
        (
            "`setup_budget`",
            Box::new(|p, _| time(p.timers.setup_budget)),
        ),
        ("`no_answer`", Box::new(|p, _| time(p.timers.no_answer))),
        ("`timer_c`", Box::new(|p, _| time(p.timers.timer_c))),
        (
            "`max_duration`",
            Box::new(|p, _| maybe(p.timers.max_duration)),
        ),
        (
            "methods offered in `Allow`",
            Box::new(|p, _| p.allow_value()),
        ),
        (
            "`X-MS-SBC` in every message",
            Box::new(|p, _| p.x_ms_sbc.to_string()),
        ),
    ];
    let all =
        [Preset::Acs, Preset::Teams, Preset::Carrier, Preset::Pbx].map(|kind| (kind, preset(kind)));
    let mut page = String::from(
        "\n## Presets\n\nA preset is data: what it sets, the keys of the trunk change.\n\n\
         | | `acs` | `teams` | `carrier` | `pbx` |\n| --- | --- | --- | --- | --- |\n",
    );
    for (name, value) in rows {
        let _ = write!(page, "| {name} |");
        for (_, (profile, flow)) in &all {
            let _ = write!(page, " {} |", value(profile, flow).replace('|', "\\|"));
        }
        page.push('\n');
    }
    page
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
    let written = page(&all) + &presets();
    let file = root.join("../../docs/configuration.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, &written).expect("the page can be written");
    }
    let there = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == written,
        "docs/configuration.md is old: run the tests of trunkline with UPDATE_EXPECT=1 ({})",
        first_difference(&there, &written, Path::new("docs/configuration.md"))
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
