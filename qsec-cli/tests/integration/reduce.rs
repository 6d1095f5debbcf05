//! `reduce`: rows and columns, every option.

use serde_json::json;

use crate::support::{Room, mode};

fn room() -> Room {
    let room = Room::new();
    room.write("access.csv", "ACCESS,USERID,REGION,OMIT\nADMIN,BOSS,,\nUSER,ANA,NORTH,COST\n");
    room.write("data.csv", "Region,Sales,Cost\nNORTH,10,7\nSOUTH,20,9\n");
    room
}

const ANA: [&str; 7] = ["reduce", "--access", "access.csv", "--in", "data.csv", "--user", "ana"];

#[test]
fn the_documented_example_comes_out() {
    let room = room();
    let run = room.run(&ANA).is(0);
    assert_eq!((run.text(), run.stderr.as_str()), ("Region,Sales\nNORTH,10\n", ""));
    let summary = "{\"level\":\"USER\",\"rows\":1,\"columns\":[\"Region\",\"Sales\"],\"omitted\":[\"COST\"]}\n";
    let piped = room.json(&ANA).is(0);
    assert_eq!((piped.text(), piped.stderr.as_str()), ("Region,Sales\nNORTH,10\n", summary));
    let to_file = room.json(&[&ANA[..], &["--out", "out.csv"]].concat()).is(0);
    assert_eq!((to_file.text(), room.read("out.csv")), (summary, b"Region,Sales\nNORTH,10\n".to_vec()));
    assert_eq!(mode(&room.path("out.csv")), 0o600);
    let fed = room.feed(&["reduce", "--access", "access.csv", "--user", "ANA"], "Region,Sales,Cost\nNORTH,1,2\n").is(0);
    assert_eq!(fed.text(), "Region,Sales\nNORTH,1\n");
    let admin =
        room.json(&["reduce", "--access", "access.csv", "--in", "data.csv", "--user", "boss", "--out", "-"]).is(0);
    assert!(admin.stderr.contains("\"ADMIN\"") && admin.text().lines().count() == 3);
}

#[test]
fn refusals_write_nothing_and_replace_nothing() {
    let room = room();
    room.write("out.csv", "precious");
    let run = |more: &[&str]| {
        room.json(&[&["reduce", "--access", "access.csv", "--in", "data.csv", "--out", "out.csv"], more].concat())
    };
    run(&["--user", "nobody"]).fails(1, "not_listed");
    run(&[]).fails(2, "no_user");
    room.write("access.csv", "ACCESS,USERID,REGION\nUSER,ANA,WEST\n");
    run(&["--user", "ana"]).fails(1, "excluded");
    assert_eq!(room.read("out.csv"), b"precious");
    let answer = run(&["--user", "ana", "--no-strict"]).is(0).answer();
    assert_eq!((&answer["rows"], room.read("out.csv")), (&json!(0), b"Region,Sales,Cost\n".to_vec()));
    assert_eq!(room.names(), ["access.csv", "data.csv", "out.csv"]);
}

#[test]
fn each_way_to_be_known_is_compared_with_its_column() {
    let room = room();
    room.write("access.csv", "ACCESS,USERID,USER.EMAIL,USER.NAME,NTNAME,GROUP,REGION\nUSER,ANA,ANA@ACME.EXAMPLE,ANA A,ACME\\ANA,SALES,NORTH\n");
    let all = [
        "--user",
        "ana",
        "--email",
        "ana@acme.example",
        "--name",
        "Ana A",
        "--ntname",
        "acme\\ana",
        "--group",
        "dev",
        "--group",
        "sales",
    ];
    assert_eq!(
        room.run(&[&["reduce", "--access", "access.csv", "--in", "data.csv"], &all[..]].concat()).is(0).text(),
        "Region,Sales,Cost\nNORTH,10,7\n"
    );
    for missing in (0..8).step_by(2) {
        let some: Vec<&str> = all[..missing].iter().chain(&all[missing + 2..]).copied().collect();
        room.json(&[&["reduce", "--access", "access.csv", "--in", "data.csv"], &some[..]].concat())
            .fails(1, "not_listed");
    }
}

#[test]
fn null_and_empty_rows_show_when_asked() {
    let room = room();
    room.write("access.csv", "ACCESS,USERID,REGION\nUSER,ANA,NORTH\n");
    room.write("data.csv", "Region,Sales\nNORTH,1\n,2\nNULL,3\n");
    let run = |more: &[&str]| {
        room.run(&[&ANA[..], more].concat()).is(0).text().lines().skip(1).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(run(&[]), ["NORTH,1"]);
    assert_eq!(run(&["--empty-rows", "show"]), ["NORTH,1", ",2"]);
    assert_eq!(run(&["--null", "NULL", "--null-rows", "show"]), ["NORTH,1", "NULL,3"]);
    assert_eq!(run(&["--null", "NULL", "--null-rows", "hide", "--empty-rows", "hide"]), ["NORTH,1"]);
    room.write("data.csv", "Region,Sales\nnorth,1\n");
    room.json(&ANA).fails(1, "excluded");
    assert_eq!(run(&["--fold-data"]), ["north,1"]);
}

#[test]
fn several_tables_are_joined() {
    let room = room();
    room.write("access.csv", "ACCESS,USERID,TEAM\nUSER,ANA,BLUE\n");
    room.write("teams.csv", "TEAM,REGION\nBLUE,SOUTH\nRED,NORTH\n");
    let run = room
        .run(&["reduce", "--access", "access.csv", "--access", "teams.csv", "--in", "data.csv", "--user", "ana"])
        .is(0);
    assert_eq!(run.text(), "Region,Sales,Cost\nSOUTH,20,9\n");
}

#[test]
fn malformed_tables_and_data_are_told_apart_and_placed() {
    let room = room();
    room.write("access.csv", "ACCESS,USERID\nGUEST,ANA\n");
    let error = room.json(&ANA).fails(2, "bad_access_value");
    assert_eq!(error["line"], 2, "{error}");
    room.write("access.csv", "ACCESS,USERID,REGION\nUSER,ANA,\"NORTH\n");
    room.json(&ANA).fails(2, "bad_csv");
    room.write("access.csv", "USERID\nANA\n");
    room.json(&ANA).fails(2, "no_access_column");
    room.write("access.csv", "ACCESS,USERID,REGION\nUSER,ANA,NORTH\n");
    room.write("data.csv", "Region,Sales\nNORTH,1\nSOUTH\n");
    let error = room.json(&ANA).fails(2, "bad_csv");
    assert_eq!(error["line"], 3, "{error}");
    room.write("data.csv", [b"Region\n".as_slice(), &[0xff], b"\n"].concat());
    room.json(&ANA).fails(2, "bad_csv");
    room.json(&["reduce", "--access", "none.csv", "--in", "data.csv", "--user", "ana"]).fails(2, "file_unreadable");
    room.json(&["reduce", "--access", "access.csv", "--in", "none.csv", "--user", "ana"]).fails(2, "file_unreadable");
}

#[test]
fn a_full_disk_names_the_output() {
    let room = room();
    let error = room.json(&[&ANA[..], &["--out", "/dev/full"]].concat()).fails(2, "file_unwritable");
    assert!(error["message"].as_str().unwrap().contains("/dev/full"), "{error}");
}

#[test]
fn the_same_reduction_is_said_in_sql() {
    let room = room();
    let sql = |dialect: &str| {
        room.json(&[
            "reduce",
            "--access",
            "access.csv",
            "--user",
            "ana",
            "--sql",
            dialect,
            "--columns",
            "Region,Sales,Cost",
        ])
    };
    for dialect in ["postgres", "sqlite", "snowflake"] {
        let answer = sql(dialect).is(0).answer();
        assert_eq!(answer["parameters"], json!(["NORTH"]), "{answer}");
        let names = answer["columns"].as_str().unwrap().replace(['"', '`'], "");
        assert_eq!(names, "Region, Sales");
        assert!(!answer["predicate"].as_str().unwrap().contains("NORTH"), "a value is in the statement: {answer}");
    }
    sql("oracle").fails(2, "usage");
    room.json(&["reduce", "--access", "access.csv", "--user", "ana", "--sql", "sqlite"]).fails(2, "usage");
    room.json(&[&ANA[..], &["--sql", "sqlite", "--columns", "Region"]].concat()).fails(2, "usage");
    room.json(&["reduce", "--access", "access.csv", "--user", "nobody", "--sql", "sqlite", "--columns", "Region,Cost"])
        .fails(1, "not_listed");
    let text = room
        .run(&[
            "reduce",
            "--access",
            "access.csv",
            "--user",
            "ana",
            "--sql",
            "postgres",
            "--columns",
            "Region,Sales,Cost",
        ])
        .is(0);
    assert!(text.text().starts_with("SELECT \"Region\", \"Sales\"\nWHERE "), "{}", text.text());
}
