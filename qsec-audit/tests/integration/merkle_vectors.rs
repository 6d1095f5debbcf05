//! transparency-dev/merkle: 518 proofs, good and bad, of inclusion and consistency, of whole trees and of subtrees.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qsec_audit::merkle::{
    Hash, InvalidPath, leaf_hash, verify_consistency, verify_inclusion, verify_subtree_consistency,
    verify_subtree_inclusion,
};
use serde_json::Value;

use crate::vectors;

/// Cases in which we may differ, each with its reason. An unexpected pass fails too.
const EXCEPTIONS: [(&str, &str); 0] = [];

/// How many cases have a root that is no hash.
const CONVERTED: usize = 31;

fn hash(value: &Value) -> Option<Hash> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap().try_into().ok()
}

fn number(case: &Value, name: &str) -> u64 {
    case[name].as_u64().unwrap()
}

/// Some cases compare roots that are no hashes but the 12 bytes `don't care 1` and `don't care 2`, which [`Hash`] cannot hold. Each
/// stands for a root that is equal or unequal to the other one, so each becomes a hash of its own. Nothing else is converted.
fn root(value: &Value) -> Option<Hash> {
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    if is_placeholder(&bytes) { Some(leaf_hash(&bytes)) } else { bytes.try_into().ok() }
}

fn is_placeholder(bytes: &[u8]) -> bool {
    matches!(bytes, b"don't care 1" | b"don't care 2")
}

/// A hash of another length cannot be given to us at all: that is a refusal.
fn run(kind: &str, case: &Value) -> Result<(), InvalidPath> {
    let invalid = verify_inclusion(0, 0, &[0; 32], &[], &[0; 32]).unwrap_err();
    let path = case["proof"].as_array().map(|path| path.iter().map(hash).collect::<Option<Vec<_>>>());
    let path = path.unwrap_or(Some(Vec::new())).ok_or(invalid)?;
    let get = |name: &str| hash(&case[name]).ok_or(invalid);
    let get_root = |name: &str| root(&case[name]).ok_or(invalid);
    let at = |name: &str| number(case, name);
    match kind {
        "inclusion" => verify_inclusion(at("leafIdx"), at("treeSize"), &get("leafHash")?, &path, &get_root("root")?),
        "consistency" => verify_consistency(at("size1"), at("size2"), &path, &get_root("root1")?, &get_root("root2")?),
        "subtreeinclusion" => verify_subtree_inclusion(
            at("leafIdx"),
            at("start"),
            at("end"),
            &get("leafHash")?,
            &path,
            &get_root("root")?,
        ),
        "subtreeconsistency" => verify_subtree_consistency(
            at("start"),
            at("end"),
            at("size"),
            &path,
            &get_root("root1")?,
            &get_root("root2")?,
        ),
        _ => panic!("an unknown kind of case: {kind}"),
    }
}

fn cases(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cases(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

#[test]
fn all_518_merkle_cases_have_their_verdict() {
    let Some(folder) = vectors::folder("merkle") else { return };
    let mut found = Vec::new();
    cases(&folder, &mut found);
    let (mut wrong, mut converted) = (Vec::new(), 0);
    for path in &found {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let kind = name.split('/').next().unwrap();
        let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let texts = ["root", "root1", "root2"].map(|name| case[name].as_str().unwrap_or_default());
        converted += usize::from(texts.iter().any(|text| is_placeholder(&STANDARD.decode(text).unwrap())));
        let refused = run(kind, &case).is_err();
        let expected = case["wantErr"].as_bool().unwrap() != EXCEPTIONS.iter().any(|(exception, _)| *exception == name);
        if refused != expected {
            wrong.push(format!("{name}: refused {refused}, expected {expected}: {}", case["desc"]));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    println!("{} cases, {converted} of them with placeholder roots", found.len());
    assert_eq!(found.len(), 518);
    assert_eq!(converted, CONVERTED, "another number of cases has placeholder roots");
}
