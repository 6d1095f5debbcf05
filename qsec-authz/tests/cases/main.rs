//! The worked cases of the specification: one named test for each, read from `tests/data`.
//!
//! A file is `{"policies": {NAME: POLICY}, "cases": [CASE]}`. A further file becomes further tests by a line in `FILES`.

mod exceptions;

use std::process::ExitCode;

use qsec_authz::{Diff, Lint, Policy, PolicyError, Request, RequestError};
use serde_json::{Value, json};

const FILES: &[(&str, &str)] = &[
    ("roles-and-spaces", include_str!("../data/roles-and-spaces.json")),
    ("rules", include_str!("../data/rules.json")),
];

struct Case {
    name: String,
    file: &'static str,
    policies: Value,
    body: Value,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let mut cases = load();
    if has("--ignored") {
        cases.clear();
    }
    if let Some(wanted) = arguments.iter().find(|argument| !argument.starts_with("--")) {
        let exact = has("--exact");
        cases.retain(|case| if exact { case.name == *wanted } else { case.name.contains(wanted.as_str()) });
    }
    if has("--list") {
        for case in &cases {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    run_all(&cases)
}

fn load() -> Vec<Case> {
    let mut cases = Vec::new();
    for (file, text) in FILES {
        let mut content: Value = serde_json::from_str(text).expect("a file of cases is JSON");
        let policies = content["policies"].take();
        for body in content["cases"].as_array().expect("cases") {
            let name = format!("{file}: {}", body["name"].as_str().expect("name"));
            cases.push(Case { name, file, policies: policies.clone(), body: body.clone() });
        }
    }
    cases
}

fn run_all(cases: &[Case]) -> ExitCode {
    println!("\nrunning {} tests", cases.len());
    let mut failures = Vec::new();
    let mut excepted = 0;
    for case in cases {
        let outcome = case.run();
        let verdict = match (outcome, exceptions::reason(case.file, &case.name)) {
            (Ok(()), None) => Ok(()),
            (Err(_), Some(_)) => {
                excepted += 1;
                Ok(())
            }
            (Ok(()), Some(reason)) => Err(format!("passed, though excepted: {reason}")),
            (Err(why), None) => Err(why),
        };
        println!("test {} ... {}", case.name, if verdict.is_ok() { "ok" } else { "FAILED" });
        failures.extend(verdict.err().map(|why| format!("---- {} ----\n{why}\n", case.name)));
    }
    for failure in &failures {
        println!("\n{failure}");
    }
    if excepted > 0 {
        println!("\n{excepted} of them are written exceptions, which fail as expected");
    }
    let (word, passed) = (if failures.is_empty() { "ok" } else { "FAILED" }, cases.len() - failures.len());
    println!(
        "\ntest result: {word}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out\n",
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the program would answer: its exit status, and the object on standard output or under `error`.
type Answer = (u8, Value);

enum Failure {
    Policy(PolicyError),
    Request(RequestError),
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl Case {
    fn run(&self) -> Result<(), String> {
        let (exit, answer) = self.answer().unwrap_or_else(|failure| {
            (
                2,
                match failure {
                    Failure::Policy(error) => json!({"code": error.code(), "message": error.to_string()}),
                    Failure::Request(error) => json!({"code": error.code(), "message": error.to_string()}),
                },
            )
        });
        for (key, expected) in self.body["expect"].as_object().expect("expect") {
            let same = match key.as_str() {
                "exit" => *expected == json!(exit),
                "rules" => expected.as_object().expect("rules").iter().all(|(rule, why)| answer["rules"][rule] == *why),
                _ => answer[key] == *expected,
            };
            if !same {
                return Err(format!("`{key}` should be {expected}\nexit {exit}: {answer}"));
            }
        }
        Ok(())
    }

    fn answer(&self) -> Result<Answer, Failure> {
        let policy = self.policy("policy")?;
        let answered = |yes: bool, answer| (u8::from(!yes), serde_json::to_value(answer).expect("an answer is JSON"));
        match self.body["command"].as_str().expect("command") {
            "decide" => {
                let snapshot = policy.compile()?;
                let request = Request::parse(&self.body["request"].to_string())?;
                snapshot.check(&request)?;
                let decision = snapshot.decide(&request);
                Ok(answered(decision.is_allowed(), json!(decision)))
            }
            "explain" => {
                let snapshot = policy.compile()?;
                let request = Request::parse(&self.body["request"].to_string())?;
                snapshot.check(&request)?;
                let explanation = snapshot.explain(&request);
                Ok(answered(explanation.decision().is_allowed(), json!(explanation)))
            }
            "filter" => {
                let snapshot = policy.compile()?;
                let request = Request::parse_filter(&self.body["request"].to_string())?;
                Ok(answered(true, json!(snapshot.filter(&request))))
            }
            "lint" => {
                let lint = Lint::of(&policy);
                Ok(answered(lint.is_empty(), json!(lint)))
            }
            "diff" => {
                let diff = Diff::between(&policy, &self.policy("against")?)?;
                Ok(answered(diff.is_empty(), json!(diff)))
            }
            other => panic!("unknown command `{other}`"),
        }
    }

    fn policy(&self, key: &str) -> Result<Policy, PolicyError> {
        let named = &self.body[key];
        let policy = named.as_str().map_or(named, |name| &self.policies[name]);
        Policy::parse_json(&policy.to_string())
    }
}
