//! `reduce`: rows and columns, every option.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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

/// A column file of three columns, the first a dictionary, in batches of two rows.
fn columns() -> Vec<RecordBatch> {
    let dictionary: DictionaryArray<Int32Type> = ["NORTH", "SOUTH", "NORTH", "WEST"].into_iter().collect();
    let sales: ArrayRef = Arc::new(Int64Array::from(vec![10, 20, 30, 40]));
    let cost: ArrayRef = Arc::new(StringArray::from(vec!["7", "9", "11", "13"]));
    let metadata = HashMap::from([("about".to_owned(), "the column Cost".to_owned())]);
    let columns: [(&str, ArrayRef); 3] = [("Region", Arc::new(dictionary)), ("Sales", sales), ("Cost", cost)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let schema = Arc::new(Schema::clone(&batch.schema()).with_metadata(metadata));
    let batch = RecordBatch::try_new(schema, batch.columns().to_vec()).unwrap();
    vec![batch.slice(0, 2), batch.slice(2, 2)]
}

fn write(room: &Room, name: &str) {
    let (batches, file) = (columns(), File::create(room.path(name)).unwrap());
    if name.ends_with("parquet") {
        let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.close().unwrap();
    } else {
        let mut writer = FileWriter::try_new(file, &batches[0].schema()).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
    }
}

fn read(room: &Room, name: &str) -> RecordBatch {
    let file = File::open(room.path(name)).unwrap();
    let batches: Vec<RecordBatch> = if name.ends_with("parquet") {
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
    } else {
        FileReader::try_new(file, None).unwrap().map(Result::unwrap).collect()
    };
    arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn column_files_are_reduced_in_their_own_format_and_keep_dictionaries() {
    let room = room();
    for extension in ["parquet", "arrow", "ipc", "feather", "ARROW"] {
        let (data, out) = (format!("data.{extension}"), format!("out.{extension}"));
        write(&room, &data);
        let run = ["reduce", "--access", "access.csv", "--in", &data, "--user", "ana", "--out", &out];
        let summary = "{\"level\":\"USER\",\"rows\":2,\"columns\":[\"Region\",\"Sales\"],\"omitted\":[\"COST\"]}\n";
        assert_eq!(room.json(&run).is(0).text(), summary);
        let reduced = read(&room, &out);
        assert_eq!((reduced.num_rows(), reduced.num_columns()), (2, 2));
        let regions = reduced.column(0).as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
        assert_eq!(regions.into_iter().collect::<Vec<_>>(), [Some("NORTH"), Some("NORTH")]);
        assert_eq!(reduced.column(1).as_primitive::<Int64Type>().values(), &[10, 30]);
        let bytes = room.read(&out);
        for hidden in ["SOUTH", "WEST", "Cost"] {
            assert!(!bytes.windows(hidden.len()).any(|bytes| bytes == hidden.as_bytes()), "{hidden} in {out}");
        }
    }
}

#[test]
fn column_files_are_refused_as_tables_of_texts_are() {
    let room = room();
    write(&room, "data.parquet");
    write(&room, "data.arrow");
    room.write("torn.parquet", "PAR1 and no more");
    room.write("torn.arrow", "");
    room.write("typing.csv", "ACCESS,USERID,SALES\nUSER,ANA,10\n");
    room.write("east.csv", "ACCESS,USERID,REGION\nUSER,ANA,EAST\n");
    let run = |access: &str, data: &str, more: &[&str]| {
        let out = if data.ends_with("parquet") { "out.parquet" } else { "out.arrow" };
        room.json(&[&["reduce", "--access", access, "--in", data, "--out", out], more].concat())
    };
    for data in ["data.parquet", "data.arrow"] {
        run("access.csv", data, &[]).fails(2, "no_user");
        run("access.csv", data, &["--user", "zoe"]).fails(1, "not_listed");
        run("east.csv", data, &["--user", "ana"]).fails(1, "excluded");
        run("typing.csv", data, &["--user", "ana"]).fails(2, "unsupported_type");
    }
    run("access.csv", "torn.parquet", &["--user", "ana"]).fails(2, "bad_data");
    run("access.csv", "torn.arrow", &["--user", "ana"]).fails(2, "bad_data");
    assert!(!room.path("out.parquet").exists() && !room.path("out.arrow").exists());
    let summary = run("east.csv", "data.arrow", &["--user", "ana", "--no-strict"]).is(0);
    assert_eq!((&summary.answer()["rows"], read(&room, "out.arrow").num_rows()), (&json!(0), 0));
    for (data, out) in [("data.parquet", "out.csv"), ("data.csv", "out.parquet"), ("data.arrow", "out.parquet")] {
        let run = ["reduce", "--access", "access.csv", "--in", data, "--out", out, "--user", "ana"];
        room.json(&run).fails(2, "usage");
    }
}
