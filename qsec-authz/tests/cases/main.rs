//! The worked cases of the specification: one named test for each, read from `tests/data`.
//!
//! A file is `{"policies": {NAME: POLICY}, "cases": [CASE]}`. A further file becomes further tests by a line in `FILES`;
//! the cases of section access take other arguments and stand in `section`.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a test harness prints, and stops on a malformed case")]

mod harness;
mod section;

use std::process::ExitCode;
use std::rc::Rc;

use qsec_authz::{Diff, Lint, Policy, PolicyError, Request, RequestError};
use serde_json::{Value, json};

const FILES: &[(&str, &str)] = &[
    ("roles-and-spaces", include_str!("../data/roles-and-spaces.json")),
    ("rules", include_str!("../data/rules.json")),
];

struct Case {
    policies: Rc<Value>,
    body: Value,
}

fn main() -> ExitCode {
    let mut cases = section::cases();
    for (file, text) in FILES {
        cases.extend(load(file, text));
    }
    harness::run(&cases)
}

fn load(file: &str, text: &str) -> Vec<harness::Case> {
    let mut content: Value = serde_json::from_str(text).expect("a file of cases is JSON");
    let policies = Rc::new(content["policies"].take());
    let case = |body: &Value| {
        let name = format!("{file}: {}", body["name"].as_str().expect("name"));
        let case = Case { policies: Rc::clone(&policies), body: body.clone() };
        harness::Case { name, run: Box::new(move || case.run()) }
    };
    content["cases"].as_array().expect("cases").iter().map(case).collect()
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
                    Failure::Policy(PolicyError::BadRule(flaw)) => {
                        json!({"code": "bad_rule", "rule": flaw.rule(), "line": flaw.line(), "column": flaw.column()})
                    }
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
