//! What holds for every command: exit statuses, where answers and errors go, help.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{QSEC, Room, Run};

/// Every verb that does something, as it is typed: found by following `--help`.
pub(crate) fn verbs() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    descend(&Room::new(), &[], &mut found);
    found
}

fn descend(room: &Room, said: &[&str], found: &mut Vec<Vec<String>>) {
    let help = room.run(&[said, &["--help"]].concat()).is(0);
    let commands: Vec<String> = help
        .text()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(ToOwned::to_owned))
        .filter(|name| name != "help")
        .collect();
    if commands.is_empty() {
        found.push(said.iter().map(|word| (*word).to_owned()).collect());
    }
    for command in commands {
        descend(room, &[said, &[&command]].concat(), found);
    }
}

#[test]
fn every_verb_has_a_help_that_ends_with_an_example_of_itself() {
    let room = Room::new();
    let verbs = verbs();
    assert!(verbs.len() > 35, "{verbs:?}");
    for verb in verbs {
        let words: Vec<&str> = verb.iter().map(String::as_str).collect();
        let help = room.run(&[&words[..], &["--help"]].concat()).is(0);
        let (_, example) = help.text().rsplit_once("Example:\n").unwrap_or_else(|| panic!("{verb:?} has no example"));
        let mentions = |line: &str| {
            line.contains(&format!("qsec {}", verb.join(" ")))
                || line.contains(&format!("qsec --json {}", verb.join(" ")))
                || line.contains(&format!("qsec --home prod {}", verb.join(" ")))
                || verb == ["decide"]
                || verb == ["explain"]
        };
        assert!(example.lines().any(mentions), "{verb:?}: {example}");
        assert!(
            example.lines().all(|line| line.starts_with("  ") && line.chars().count() <= 90),
            "{verb:?}: {example}"
        );
    }
}

#[test]
fn help_and_version_are_answers() {
    let room = Room::new();
    for arguments in
        [&["--help"][..], &["-h"], &["--version"], &["tenant", "--help"], &["help", "seal"], &["--json", "--help"]]
    {
        let run = room.run(arguments).is(0);
        assert!(!run.stdout.is_empty() && run.stderr.is_empty(), "{arguments:?}");
    }
    assert!(room.names().is_empty());
}

#[test]
fn what_clap_refuses_is_one_usage_line_wherever_json_stands() {
    let room = Room::new();
    let wrong: [&[&str]; 14] = [
        &["--json"],
        &["--json", "nonsense"],
        &["nonsense", "--json"],
        &["tenant", "--json"],
        &["tenant", "create", "--json"],
        &["seal", "--json", "--raw-key"],
        &["seal", "--json"],
        &["token", "issue", "--tenant", "a", "--type", "door", "--subject", "s", "--audience", "a", "--json"],
        &["key", "schedule-deletion", "acme", "--days", "6", "--confirm", "acme", "--json"],
        &["key", "schedule-deletion", "acme", "--days", "31", "--confirm", "acme", "--json"],
        &["tenant", "deactivate", "acme", "--days", "9", "--confirm", "acme", "--json"],
        &["--now", "tomorrow", "tenant", "list", "--json"],
        &["--root-key", "a", "--passphrase-file", "b", "tenant", "list", "--json"],
        &["token", "verify", "--policy", "p", "--jwks", "k", "--htm", "GET", "--json"],
    ];
    for arguments in wrong {
        let run = room.run(arguments);
        assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}: {}", run.stderr);
        run.fails(2, "usage");
    }
    assert!(room.names().is_empty());
}

#[test]
fn without_json_an_error_is_text() {
    let room = Room::new();
    let run = room.run(&["tenant", "list"]).is(2);
    assert!(run.stdout.is_empty());
    assert_eq!(run.stderr, "error: `qsec-home` holds no deployment; `qsec init` makes one\n");
    assert!(room.run(&["nonsense"]).is(2).stderr.starts_with("error: unrecognized subcommand 'nonsense'"));
}

#[test]
fn global_options_stand_anywhere_after_the_noun_too() {
    let room = Room::with_acme();
    for arguments in [
        ["--json", "--home", "qsec-home", "tenant", "show", "acme"],
        ["tenant", "--json", "--home", "qsec-home", "show", "acme"],
        ["tenant", "show", "acme", "--home", "qsec-home", "--json"],
    ] {
        assert_eq!(room.run(&arguments).is(0).answer()["tenant"]["id"], "acme");
    }
    let mut command = room.command(&["--json", "tenant", "show", "acme"]);
    std::fs::rename(room.path("qsec-home"), room.path("moved")).unwrap();
    let output = command.env("QSEC_HOME", "moved").output().unwrap();
    assert_eq!(Run::of(output, "QSEC_HOME").is(0).answer()["tenant"]["id"], "acme");
}

#[test]
fn verbs_without_a_deployment_read_none_and_make_none() {
    let room = Room::new();
    room.write_key("k");
    room.write("p.json", r#"{"version":1,"tenants":{"t":{}}}"#);
    let sealed = room.feed(&["seal", "--raw-key", "k", "--tenant", "acme"], "x").is(0).stdout;
    room.feed(&["open", "--raw-key", "k", "--tenant", "acme"], sealed).is(0);
    room.json(&["lint", "--policy", "p.json"]).is(0);
    room.json(&["audit", "schema"]).is(0);
    room.json(&["completions", "zsh"]).is(0);
    assert_eq!(room.names(), ["k", "p.json"]);
}

#[test]
fn commands_that_need_a_deployment_say_that_there_is_none() {
    let room = Room::new();
    room.write("f", "{}");
    for arguments in [
        &["tenant", "list"][..],
        &["tenant", "create", "acme"],
        &["key", "list", "acme"],
        &["client", "list"],
        &["idp", "list", "--tenant", "acme"],
        &["jwks", "show", "--tenant", "acme"],
        &["audit", "verify"],
        &["audit", "tail"],
        &["audit", "key", "--tenant", "acme"],
        &["seal", "--tenant", "acme"],
        &["doctor"],
    ] {
        room.json(arguments).fails(2, "deployment_missing");
    }
    assert_eq!(room.names(), ["f"]);
}

#[test]
fn now_replaces_the_clock_of_checks_and_is_refused_by_changes() {
    let room = Room::with_acme();
    room.write("policy.json", r#"{"version":1,"tenants":{"acme":{}}}"#);
    room.write("idp.json", "{}");
    let changes: [&[&str]; 19] = [
        &["init"],
        &["tenant", "create", "other"],
        &["tenant", "disable-users", "acme"],
        &["tenant", "enable-users", "acme"],
        &["tenant", "deactivate", "acme", "--confirm", "Acme Ltd"],
        &["tenant", "reactivate", "acme"],
        &["tenant", "protect", "acme"],
        &["tenant", "unprotect", "acme"],
        &["key", "rotate", "acme"],
        &["key", "disable", "acme"],
        &["key", "enable", "acme"],
        &["key", "schedule-deletion", "acme", "--days", "7", "--confirm", "acme"],
        &["key", "cancel-deletion", "acme"],
        &["token", "issue", "--tenant", "acme", "--type", "access", "--subject", "a", "--audience", "b"],
        &["client", "create", "--tenant", "acme", "--type", "m2m", "--name", "n"],
        &["client", "disable", "c_1"],
        &["idp", "add", "jwt", "--tenant", "acme", "--config", "idp.json"],
        &["policy", "activate", "--tenant", "acme", "--policy", "policy.json"],
        &["audit", "prove", "--tenant", "acme", "--index", "0"],
    ];
    for arguments in changes {
        let error = room.run(&[arguments, &["--json", "--now", "1700000000"]].concat()).fails(2, "usage");
        assert!(error["message"].as_str().unwrap().contains("--now"), "{arguments:?}: {error}");
    }
    for arguments in [&["tenant", "show", "acme"][..], &["key", "list", "acme"], &["audit", "verify"]] {
        room.run(&[arguments, &["--json", "--now", "2126-01-01T00:00:00Z"]].concat()).is(0).answer();
    }
}

#[test]
fn a_reader_who_closes_the_pipe_is_no_accident() {
    let room = Room::with_acme();
    for arguments in
        [&["audit", "schema", "--json"][..], &["completions", "bash"], &["--help"], &["audit", "tail"], &["man"]]
    {
        let mut child = room.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let room = Room::with_acme();
    let run = room.shell("qsec --json tenant show acme > /dev/full").is(2);
    assert_eq!(run.error()["code"], "file_unwritable");
    room.shell("qsec completions fish > /dev/full").is(2);
}

#[test]
fn standard_input_is_one_thing_only() {
    let room = Room::new();
    room.write("a.csv", "ACCESS,USERID\nUSER,ANA\n");
    room.json(&["decide", "--policy", "-", "--request", "-"]).fails(2, "usage");
    room.json(&["diff", "-", "-"]).fails(2, "usage");
    room.json(&["token", "verify", "--policy", "-", "--jwks", "k"]).fails(2, "usage");
    room.json(&["reduce", "--access", "-", "--user", "ana"]).fails(2, "usage");
    room.json(&["audit", "verify", "--proof", "-", "--entry", "-", "--key", "k"]).fails(2, "usage");
}

#[test]
fn completions_and_pages_name_every_verb() {
    let room = Room::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = room.run(&["completions", shell]).is(0);
        for word in ["schedule-deletion", "raw-key", "cursor"] {
            assert!(script.text().contains(word), "{shell} does not know {word}");
        }
    }
    for (shell, check) in [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish -n")] {
        room.run(&["completions", shell]).is(0);
        room.shell(&format!("qsec completions {shell} > c; ! command -v {shell} > /dev/null || {check} c")).is(0);
    }
    assert!(room.run(&["man"]).is(0).text().contains(".TH qsec 1"));
    std::fs::create_dir(room.path("pages")).unwrap();
    room.run(&["man", "--out-dir", "pages"]).is(0);
    for verb in verbs() {
        let page = String::from_utf8(room.read(&format!("pages/qsec-{}.1", verb.join("-")))).unwrap();
        assert!(page.contains(".TH") && page.contains("Example:"), "{verb:?}");
    }
    room.json(&["man", "--out-dir", "nowhere"]).fails(2, "file_unwritable");
}

#[test]
fn text_has_no_colour_where_nobody_looks() {
    let room = Room::with_acme();
    for arguments in [&["tenant", "list"][..], &["tenant", "show", "nobody"], &["--help"], &["nonsense"]] {
        let run = room.run(arguments);
        assert!(!run.stdout.contains(&0x1b) && !run.stderr.contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn an_unknown_word_is_answered_with_what_was_meant() {
    let run = Room::new().run(&["--json", "tenent", "list"]);
    let message = run.fails(2, "usage")["message"].clone();
    assert!(message.as_str().unwrap().contains("'tenant'"), "{message}");
    let missing: Value = Room::new().run(&["--json", "decide", "--policy", "p"]).fails(2, "usage");
    assert!(missing["message"].as_str().unwrap().contains("--request"), "{missing}");
    assert!(std::path::Path::new(QSEC).is_file());
}
