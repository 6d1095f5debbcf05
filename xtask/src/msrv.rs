//! The promise of a minimum Rust version, compared with what each package of the lock asks for.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::report::Outcome;
use crate::workspace::Workspace;

/// Fails where a package of the lock, with every feature and on every platform, asks for a newer Rust than we promise.
pub(crate) fn check(workspace: &Workspace) -> Result<Outcome> {
    let metadata = workspace.metadata(&["--all-features"])?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages in the metadata")?;
    let ours = packages
        .iter()
        .find(|package| text(package, "name") == Some("qsec"))
        .and_then(|package| text(package, "rust_version"))
        .context("the facade states no rust-version")?;
    let newer = newer_than(ours, packages)?;
    if !newer.is_empty() {
        bail!("asking for a Rust newer than {ours}: {}", newer.join(", "));
    }
    Ok(Outcome::Passed(format!("{} packages ask for Rust {ours} or older", packages.len())))
}

fn newer_than(ours: &str, packages: &[Value]) -> Result<Vec<String>> {
    let limit = version(ours)?;
    let mut newer = Vec::new();
    for package in packages {
        let (Some(name), Some(asked)) = (text(package, "name"), text(package, "rust_version")) else { continue };
        if version(asked)? > limit {
            newer.push(format!("{name} {} ({asked})", text(package, "version").unwrap_or_default()));
        }
    }
    Ok(newer)
}

fn text<'a>(package: &'a Value, member: &str) -> Option<&'a str> {
    package.get(member).and_then(Value::as_str)
}

/// `1.94` is 1.94.0; cargo allows no pre-release here.
fn version(text: &str) -> Result<[u32; 3]> {
    let mut parts = [0; 3];
    for (part, digits) in parts.iter_mut().zip(text.split('.')) {
        *part = digits.parse().with_context(|| format!("`{text}` is not a Rust version"))?;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_package_that_asks_for_a_newer_rust_is_named() {
        let packages = [
            json!({"name": "old", "version": "1.0.0", "rust_version": "1.63"}),
            json!({"name": "same", "version": "1.0.0", "rust_version": "1.94.1"}),
            json!({"name": "newer", "version": "2.1.0", "rust_version": "1.95"}),
            json!({"name": "silent", "version": "1.0.0", "rust_version": null}),
        ];
        assert_eq!(newer_than("1.94.1", &packages).unwrap(), ["newer 2.1.0 (1.95)"]);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(version("1.100").unwrap() > version("1.94.1").unwrap());
        assert!(version("nightly").is_err());
    }
}
