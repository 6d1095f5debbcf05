//! Who depends on whom, and what a default build brings along, as cargo itself answers.

use std::process::Command;

use serde_json::Value;

use crate::source::{DOMAIN, root};

const STORE: &str = "qsec-store";
const FACADE: &str = "qsec";
const PROGRAM: &str = "qsec-cli";
const COMMANDS: &str = "xtask";
/// A package for the trees it brings.
const EXAMPLE: &str = "section_access";

/// Runtimes and clients: a domain crate is useful in a program that has none.
const RUNTIMES: [&str; 7] = ["tokio", "async-std", "smol", "async-executor", "futures-executor", "hyper", "reqwest"];

/// Second TLS stacks and their C libraries.
const SECOND_PROVIDERS: [&str; 6] = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "aws-config"];

/// In the standard library by now, unmaintained, or replaced by something of ours.
const NOT_DIRECT: [&str; 9] =
    ["once_cell", "lazy_static", "fs4", "tabled", "config", "figment", "vaultrs", "rustls-pemfile", "rsa"];

/// An edge between two packages, whatever its kind: a test that needs another room is a test of the facade.
type Edge = (String, String);

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let answer = cargo.current_dir(root()).args(arguments).output().expect("cargo starts");
    assert!(answer.status.success(), "cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).expect("cargo answers in UTF-8")
}

fn edges(metadata: &Value) -> Vec<Edge> {
    let list = |value: &Value, member: &str| value[member].as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let mut edges = Vec::new();
    for package in list(metadata, "packages") {
        edges.extend(list(&package, "dependencies").iter().map(|dependency| (name(&package), name(dependency))));
    }
    edges
}

fn our_edges() -> Vec<Edge> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    edges(&serde_json::from_str(&metadata).expect("cargo answers in JSON"))
}

/// Edges that the design does not have.
fn forbidden(edges: &[Edge]) -> Vec<&Edge> {
    let domain = |name: &str| DOMAIN.contains(&name);
    let ours = |name: &str| domain(name) || [STORE, FACADE, PROGRAM, COMMANDS, EXAMPLE].contains(&name);
    let may = |from: &str, to: &str| match from {
        PROGRAM => domain(to) || to == FACADE,
        FACADE => domain(to) || to == STORE,
        STORE => domain(to),
        EXAMPLE => to == FACADE,
        _ => false,
    };
    let direct = |name: &str| NOT_DIRECT.contains(&name);
    edges.iter().filter(|(from, to)| direct(to) || ours(to) && !may(from, to)).collect()
}

fn missing(edges: &[Edge]) -> Vec<Edge> {
    let facade = DOMAIN.into_iter().chain([STORE]).map(|to| (FACADE, to));
    let needed = facade.chain(DOMAIN.map(|to| (STORE, to))).chain([(PROGRAM, FACADE)]);
    needed.map(|(from, to)| (from.to_owned(), to.to_owned())).filter(|edge| !edges.contains(edge)).collect()
}

#[test]
fn no_domain_crate_knows_another() {
    let edges = our_edges();
    assert_eq!(forbidden(&edges), Vec::<&Edge>::new(), "edges that the design does not have");
    assert_eq!(missing(&edges), Vec::<Edge>::new(), "edges that the design has");
}

#[test]
fn a_planted_edge_is_found() {
    let planted = |from: &str, to: &str| forbidden(&[(from.to_owned(), to.to_owned())]).len();
    assert_eq!(planted("qsec-crypto", "qsec-identity"), 1);
    assert_eq!(planted("qsec-audit", "qsec"), 1);
    assert_eq!(planted("qsec-store", "qsec"), 1);
    assert_eq!(planted("qsec", "qsec-cli"), 1);
    assert_eq!(planted("xtask", "qsec-crypto"), 1);
    assert_eq!(planted("qsec-pki", "once_cell"), 1);
    assert_eq!(planted("qsec-store", "qsec-pki"), 0);
    assert_eq!(planted("qsec-cli", "qsec"), 0);
    assert_eq!(missing(&[]).len(), DOMAIN.len() * 2 + 2);
    let metadata = r#"{"packages":[{"name":"qsec-pki","dependencies":[{"name":"qsec-audit","kind":"dev"}]}]}"#;
    let found = edges(&serde_json::from_str(metadata).expect("JSON"));
    assert_eq!(found, [("qsec-pki".to_owned(), "qsec-audit".to_owned())]);
}

/// The packages that a build of that one package compiles in, without those of its tests.
fn tree(package: &str, features: &[&str]) -> Vec<String> {
    let mut arguments = vec!["tree", "--locked", "--package", package, "--edges", "normal,build", "--prefix", "none"];
    arguments.extend(["--format", "{p}"]);
    arguments.extend(features);
    cargo(&arguments).lines().map(package_name).collect()
}

fn package_name(line: &str) -> String {
    line.split(' ').next().unwrap_or_default().to_owned()
}

fn among<'a>(tree: &'a [String], names: &[&str]) -> Vec<&'a str> {
    tree.iter().map(String::as_str).filter(|package| names.contains(package)).collect()
}

#[test]
fn a_domain_crate_brings_no_runtime() {
    for package in DOMAIN {
        let tree = tree(package, &[]);
        assert!(tree.len() > 1, "the tree of {package} is empty");
        assert_eq!(among(&tree, &RUNTIMES), Vec::<&str>::new(), "in the default tree of {package}");
    }
}

#[test]
fn there_is_one_tls_provider() {
    for package in [FACADE, PROGRAM] {
        assert_eq!(
            among(&tree(package, &[]), &SECOND_PROVIDERS),
            Vec::<&str>::new(),
            "in the default tree of {package}"
        );
    }
    let everything = tree(FACADE, &["--all-features"]);
    let never = SECOND_PROVIDERS.map(|name| if name.starts_with("aws-lc") { "" } else { name });
    assert_eq!(among(&everything, &never), Vec::<&str>::new(), "in the tree with all features");
}

#[test]
fn a_planted_runtime_is_found() {
    let tree: Vec<String> =
        ["qsec-pki v0.1.0 (/here)", "tokio v1.54.1", "tokio-util v0.7.0", "ring v0.17.14 (*)"].map(package_name).into();
    assert_eq!(among(&tree, &RUNTIMES), ["tokio"]);
    assert_eq!(among(&tree, &SECOND_PROVIDERS), Vec::<&str>::new());
}
