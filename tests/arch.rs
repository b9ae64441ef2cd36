//! The code map kept true: crate graph, bans, licences, lint files, markers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const PURE: [&str; 11] = [
    "ambient",
    "b2bua",
    "e164",
    "media-relay",
    "routing",
    "rtp",
    "sdp",
    "sim",
    "sip-msg",
    "sip-ua",
    "voice",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Our crates below `crates/`, each with the crates of ours it depends on.
fn graph(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeMap<&str, &Value> = packages
        .iter()
        .filter(|package| {
            package["source"].is_null()
                && package["manifest_path"]
                    .as_str()
                    .is_some_and(|path| path.contains("/crates/"))
        })
        .map(|package| (package["name"].as_str().expect("name"), package))
        .collect();
    ours.iter()
        .map(|(name, package)| {
            let knows = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| dependency["kind"].is_null() && !dependency["path"].is_null())
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|dependency| ours.contains_key(dependency))
                .map(str::to_owned)
                .collect();
            ((*name).to_owned(), knows)
        })
        .collect()
}

#[test]
fn the_map_is_the_graph() {
    let map = fs::read_to_string(root().join("crates/README.md")).expect("the map is there");
    let drawn: BTreeMap<String, BTreeSet<String>> = map
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, _level, _sentence, knows] = cells[..] else {
                return None;
            };
            let knows = knows
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty());
            Some((
                name.trim_matches('`').to_owned(),
                knows.map(str::to_owned).collect(),
            ))
        })
        .filter(|(name, _): &(String, _)| !name.starts_with("sim/") && !name.starts_with("tests/"))
        .collect();
    assert_eq!(
        drawn,
        graph(&metadata()),
        "crates/README.md (left) and the manifests (right)"
    );
}

#[test]
fn arrows_point_down() {
    let level = |name: &str| match name {
        "ambient" | "sip-msg" | "sdp" | "rtp" | "e164" | "voice" => 0,
        "sip-ua" | "routing" | "media-relay" => 1,
        "b2bua" => 2,
        "trunkline" => 4,
        _ => 3,
    };
    for (name, knows) in graph(&metadata()) {
        for below in knows {
            assert!(level(&below) < level(&name), "{name} must not know {below}");
        }
    }
}

/// Every package reached from `name` by normal dependencies.
fn closure(metadata: &Value, name: &str) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().expect("packages");
    let name_of: BTreeMap<&str, &str> = packages
        .iter()
        .map(|package| {
            (
                package["id"].as_str().expect("id"),
                package["name"].as_str().expect("name"),
            )
        })
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (node["id"].as_str().expect("id"), node))
        .collect();
    let start = packages
        .iter()
        .find(|package| package["name"] == name && package["source"].is_null())
        .expect("the crate is in the workspace");
    let mut seen = BTreeSet::new();
    let mut waiting = vec![start["id"].as_str().expect("id")];
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().expect("deps") {
            let normal = dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()));
            if normal {
                waiting.push(dependency["pkg"].as_str().expect("pkg"));
            }
        }
    }
    seen.into_iter().map(|id| name_of[id].to_owned()).collect()
}

#[test]
fn pure_crates_reach_no_runtime() {
    let metadata = metadata();
    for name in PURE {
        let reached = closure(&metadata, name);
        for banned in ["tokio", "mio", "socket2", "nix", "getrandom", "rustls"] {
            assert!(!reached.contains(banned), "{name} reaches {banned}");
        }
    }
}

#[test]
fn one_cryptographic_provider_ships() {
    // Metadata unites the features of every member, tests included; the tree of the binary alone
    // is what ships.
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "-p",
            "trunkline",
            "-e",
            "normal,build",
            "--prefix",
            "none",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8_lossy(&output.stdout);
    let ships: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(ships.contains("aws-lc-rs"), "the tree is read");
    for banned in ["ring", "openssl", "native-tls", "rustls-pemfile"] {
        assert!(!ships.contains(banned), "the binary ships {banned}");
    }
}

#[test]
fn licences_are_permissive() {
    const ALLOWED: [&str; 14] = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "0BSD",
        "Unlicense",
        "CC0-1.0",
        "MIT-0",
        "BSL-1.0",
        "CDLA-Permissive-2.0",
        "OpenSSL",
    ];
    let metadata = metadata();
    let reached = closure(&metadata, "trunkline");
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        if package["source"].is_null() || !reached.contains(name) {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or("");
        // One allowed way through each AND is enough: every word must be allowed in some OR.
        let fine = licence.replace('/', " OR ").split(" AND ").all(|part| {
            part.trim_matches(['(', ')', ' ']).split(" OR ").any(|one| {
                let one = one.trim_matches(['(', ')', ' ']);
                let one = one.split(" WITH ").next().unwrap_or(one);
                ALLOWED.contains(&one)
            })
        });
        assert!(fine, "{name} is under `{licence}`");
    }
}

#[test]
fn pure_crates_forbid_unsafe_and_share_one_lint_file() {
    let lints = |name: &str| {
        fs::read_to_string(root().join("crates").join(name).join("clippy.toml"))
            .unwrap_or_else(|error| panic!("{name}/clippy.toml: {error}"))
    };
    let first = lints(PURE[0]);
    for name in PURE {
        assert_eq!(
            lints(name),
            first,
            "{name}/clippy.toml differs from {}",
            PURE[0]
        );
        let source = fs::read_to_string(root().join("crates").join(name).join("src/lib.rs"))
            .expect("a crate has a lib.rs");
        assert!(
            source.contains("#![forbid(unsafe_code)]"),
            "{name} does not forbid unsafe"
        );
    }
}

#[test]
fn unsafe_stands_where_the_map_says() {
    for file in sources(&root().join("crates")) {
        let text = fs::read_to_string(&file).expect("sources are UTF-8");
        let path = file.display().to_string();
        if text.contains("allow(unsafe_code)") {
            let system_calls = path.contains("crates/media-io/src/sys/");
            let may = path.contains("/tests/") || system_calls;
            assert!(may, "{path} allows unsafe code");
        }
    }
}

#[test]
fn no_marker_stands_in_for_work() {
    let words = ["to", "do"].concat();
    for file in sources(&root().join("crates")) {
        let text = fs::read_to_string(&file).expect("sources are UTF-8");
        for marker in [
            format!("{words}!("),
            "unimplemented!(".into(),
            words.to_uppercase(),
            "FIXME".into(),
            "#[ignore".into(),
        ] {
            assert!(!text.contains(&marker), "{} holds {marker}", file.display());
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
