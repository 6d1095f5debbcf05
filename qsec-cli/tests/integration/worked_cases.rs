//! The worked cases of decisions and of section access, through the program: every failure is listed.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::Room;

fn cases(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../qsec-authz/tests/data").join(name);
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn run_all(name: &str, least: usize, check: impl Fn(&Value, &Value) -> Result<(), String>) {
    let file = cases(name);
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= least, "{name} has {} cases", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| check(&file["policies"], case).err().map(|why| format!("{}: {why}", case["name"])))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases of {name} fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// Exit status, and each expected member of the answer or the error.
fn compare(expect: &Value, status: i32, answer: &Value) -> Result<(), String> {
    if expect["exit"] != status {
        return Err(format!("exit {status}: {answer}"));
    }
    for (name, wanted) in expect.as_object().unwrap().iter().filter(|(name, _)| *name != "exit" && *name != "output") {
        let seen = &answer[name];
        let same = match wanted.as_object().filter(|_| name == "rules") {
            Some(rules) => rules.iter().all(|(rule, why)| &seen[rule] == why),
            None => seen == wanted,
        };
        if !same {
            return Err(format!("`{name}` is {seen}, not {wanted}"));
        }
    }
    Ok(())
}

#[test]
fn roles_and_spaces() {
    questions("roles-and-spaces.json", 60);
}

#[test]
fn security_rules() {
    questions("rules.json", 50);
}

fn questions(name: &str, least: usize) {
    run_all(name, least, |policies, case| {
        let room = Room::new();
        let policy = |value: &Value| value.as_str().map_or(value, |name| &policies[name]).to_string();
        room.write("policy.json", policy(&case["policy"]));
        let command = case["command"].as_str().unwrap();
        let run = match command {
            "lint" => room.json(&["lint", "--policy", "policy.json"]),
            "diff" => {
                room.write("against.json", policy(&case["against"]));
                room.json(&["diff", "policy.json", "against.json"])
            }
            _ => room.feed_json(&[command, "--policy", "policy.json", "--request", "-"], case["request"].to_string()),
        };
        let answer = if run.stdout.is_empty() { run.error() } else { run.answer() };
        compare(&case["expect"], run.status, &answer)
    });
}

#[test]
fn section_access() {
    run_all("section-access.json", 30, |_, case| {
        let room = Room::new();
        let mut arguments = vec!["--json".to_owned(), "reduce".to_owned()];
        for (number, table) in case["access"].as_array().unwrap().iter().enumerate() {
            let name = format!("access-{number}.csv");
            room.write(&name, table.as_str().unwrap());
            arguments.extend(["--access".to_owned(), name]);
        }
        room.write("data.csv", case["data"].as_str().unwrap());
        arguments.extend(["--in", "data.csv", "--out", "out.csv"].map(ToOwned::to_owned));
        arguments.extend(case["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()));
        let run = room.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let answer = if run.stdout.is_empty() { run.error() } else { run.answer() };
        compare(&case["expect"], run.status, &answer)?;
        let written = room.path("out.csv").exists();
        if written != (run.status == 0) {
            return Err(format!("exit {}, and the output is there: {written}", run.status));
        }
        match case["expect"]["output"].as_str() {
            Some(wanted) if rows(wanted) != rows(&String::from_utf8(room.read("out.csv")).unwrap()) => {
                Err(format!("the output is {:?}", String::from_utf8(room.read("out.csv"))))
            }
            _ => Ok(()),
        }
    });
}

/// The rows of a CSV text whose quoted cells hold no line ends.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => cells.last_mut().unwrap().extend(letters.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                other => cells.last_mut().unwrap().push(other),
            }
        }
        cells
    };
    text.trim_start_matches('\u{feff}').lines().filter(|line| !line.is_empty()).map(cells).collect()
}
