//! The rules of access tables that the worked cases leave out: order of errors, places and hints, versions, budgets.

use std::io::Cursor;

use qsec_authz::section::{
    AccessError, EmptyRows, Exclusion, Identity, Level, MAX_ACCESS_BYTES, MAX_ACCESS_COLUMNS, MAX_ACCESS_TABLES,
    MAX_LINK_COLUMNS, NullRows, Options, ReduceError, SectionAccess, Table, reduce_csv,
};

const GOOD: &str = "ACCESS,USERID,REGION\nUSER,ANA,NORTH\n";

fn parse_error(tables: &[&str]) -> AccessError {
    SectionAccess::parse(tables).unwrap_err()
}

fn run(access: &[&str], identity: Identity, data: &str) -> Result<String, ReduceError> {
    let mut output = Vec::new();
    reduce_csv(access, Options::new(), identity, Cursor::new(data), &mut output)?;
    Ok(String::from_utf8(output).unwrap())
}

#[test]
fn errors_come_in_the_documented_order_over_all_tables() {
    // Each table and the data have one more fault than the line before has taken away.
    let ana = || Identity::user("zoe");
    let cases: &[(&[&str], Identity, &str, &str)] = &[
        (&["A\""], Identity::user(" "), "A\"", "no_user"),
        (&["A,A\n", "A\""], ana(), "A,A\n", "bad_csv"),
        (&["A,A\n"], ana(), "A\nB,C\n", "bad_csv"),
        (&["ACCESS,SERIAL,SERIAL\n"], ana(), "A\n", "duplicate_column"),
        (&["ACCESS,SERIAL,\n"], ana(), "A\n", "duplicate_column"),
        (&["ACCESS,SERIAL\n"], ana(), "A,a\n", "duplicate_column"),
        (&["USERID\n", "ACCESS,PASSWORD\n"], ana(), "A\n", "unsupported_field"),
        (&["ACCESS,X\n", "OMIT,X\n"], ana(), "A\n", "no_access_column"),
        (&["ACCESS,USERID\nX,X\n", "ACCESS,X\nX,X\n"], ana(), "A\n", "no_identity_column"),
        (&["ACCESS,USERID,OMIT,X\n,ANA,NOPE,X\n"], ana(), "A\n", "bad_access_value"),
        (&["ACCESS,USERID,OMIT,X\nUSER,ANA,NOPE,X\n", "Y\n1\n"], ana(), "A\n", "unknown_omit_field"),
        (&["ACCESS,USERID,OMIT,X\nUSER,ANA,A,X\n", "Y\n1\n"], ana(), "A\n", "unlinked_table"),
        (&["ACCESS,USERID,OMIT,X\nUSER,ANA,A,X\n"], ana(), "A\n", "unknown_reduction_field"),
        (&["ACCESS,USERID\nUSER,ANA\n"], ana(), "A\n1,2\n", "bad_csv"),
        (&["ACCESS,USERID\nUSER,ANA\n"], ana(), "A\n1\n", "not_listed"),
    ];
    for (access, identity, data, code) in cases {
        assert_eq!(run(access, identity.clone(), data).unwrap_err().code(), *code, "{access:?} {data:?}");
    }
}

#[test]
fn legacy_columns_are_refused_in_mapping_tables_too() {
    for column in ["SERIAL", "password", "NtSid", "NTDOMAINSID"] {
        let mapping = format!("REGION,{column}\n");
        assert_eq!(parse_error(&[GOOD, &mapping]).code(), "unsupported_field");
    }
}

#[test]
fn no_tables_are_an_error() {
    assert_eq!(parse_error(&[]), AccessError::NoAccessColumn { table: None, column: None });
}

#[test]
fn errors_name_table_line_and_remedy() {
    let error = parse_error(&[GOOD, "ACCESS,USERID\n\nUSER,ANA\nADMINS,BOB\n"]);
    assert_eq!(error.to_string(), "access table 2, line 4: `ADMINS` is not an access level");
    assert_eq!((error.position(), error.hint().as_deref()), (Some((4, None)), Some("write `USER` or `ADMIN`")));

    let error = parse_error(&[GOOD, "A,\"b"]);
    assert_eq!(error.to_string(), "access table 2: line 1, column 3: this quote is never closed");
    assert_eq!(error.position(), Some((1, Some(3))));

    let access =
        SectionAccess::parse(["ACCESS,USERID,OMIT\nUSER,ANA,SALE,\n".replace("SALE,", "SALE").as_str()]).unwrap();
    let error = access.check_columns(["Region", "Sales"]).unwrap_err();
    assert_eq!(error.to_string(), "access table 1, line 2: OMIT `SALE` matches no column of the data");
    assert_eq!(error.hint().as_deref(), Some("did you mean `SALES`?"));

    let access = SectionAccess::parse(["ACCESS,USERID,OMIT\nUSER,ANA,\"A,B\"\n"]).unwrap();
    assert_eq!(access.check_columns(["A", "B"]).unwrap_err().hint().as_deref(), Some("write one column a row"));
    assert_eq!(access.check_columns(["a,b", "B"]).unwrap().columns().count(), 2);
}

#[test]
fn an_omit_of_somebody_else_must_exist_too() {
    let access = SectionAccess::parse(["ACCESS,USERID,OMIT\nUSER,ANA,\nUSER,BOB,NOPE\n"]).unwrap();
    assert_eq!(access.check_columns(["A"]).unwrap_err().code(), "unknown_omit_field");
}

#[test]
fn a_user_with_every_column_omitted_is_excluded_strict_or_not() {
    let data = Table::parse_csv("A,B\n1,2\n").unwrap();
    for exclusion in [Exclusion::Strict, Exclusion::NoRows] {
        let options = Options::new().exclusion(exclusion);
        let access = SectionAccess::parse_with(["ACCESS,USERID,OMIT\nADMIN,BOSS,?\n"], options).unwrap();
        let error = access.check_columns(data.columns()).unwrap().reduction(Identity::user("boss")).unwrap_err();
        assert_eq!(error.code(), "excluded");
    }
}

#[test]
fn rows_are_reduced_by_an_omitted_column() {
    assert_eq!(
        run(
            &["ACCESS,USERID,REGION,OMIT\nUSER,ANA,NORTH,REGION\n"],
            Identity::user("ana"),
            "REGION,V\nNORTH,1\nSOUTH,2\n"
        )
        .unwrap(),
        "V\n1\n"
    );
}

#[test]
fn without_a_value_nothing_is_shown_not_even_null_or_empty() {
    let options = Options::new()
        .exclusion(Exclusion::NoRows)
        .null_text("-")
        .null_rows(NullRows::Show)
        .empty_rows(EmptyRows::Show);
    let data = Table::parse_csv("REGION,V\n-,1\n,2\nNORTH,3\n").unwrap();
    let see = |cell: &str| {
        let table = format!("ACCESS,USERID,REGION\nUSER,ANA,{cell}\n");
        let access =
            SectionAccess::parse_with([table], options.clone()).unwrap().check_columns(data.columns()).unwrap();
        access.reduction(Identity::user("ana")).unwrap().apply(&data).unwrap().rows()
    };
    assert_eq!((see(""), see("-"), see("EAST"), see("NORTH")), (0, 0, 2, 3));
}

#[test]
fn several_authorization_tables_are_one() {
    let tables = [GOOD, "ACCESS,GROUP,OMIT\nUSER,SALES,V\n"];
    let ana = Identity::user("ana").group("sales");
    assert_eq!(run(&tables, ana.clone(), "REGION,V\nNORTH,1\nSOUTH,2\n").unwrap(), "REGION\nNORTH\n");
    // The second table alone leaves REGION blank, which is nothing for a USER.
    assert_eq!(
        run(&tables, Identity::user("zoe").group("sales"), "REGION,V\nNORTH,1\n").unwrap_err().code(),
        "excluded"
    );
    // An identity column counts in its own table only.
    assert_eq!(run(&tables, Identity::user("ana"), "REGION,V\nNORTH,1\n").unwrap(), "REGION,V\nNORTH,1\n");
}

#[test]
fn upper_case_is_the_full_unicode_mapping() {
    let access = ["ACCESS,USERID,REGION\nUSER,groß,straße\n"];
    assert_eq!(run(&access, Identity::user("GROSS"), "Region\nSTRASSE\nstraße\n").unwrap(), "Region\nSTRASSE\n");
}

#[test]
fn levels_are_admin_only_if_all_rows_say_so() {
    let access = SectionAccess::parse(["ACCESS,USERID\nadmin,BOSS\nUSER,ANA\nADMIN,ANA\n"])
        .unwrap()
        .check_columns(["A"])
        .unwrap();
    assert_eq!(access.reduction(Identity::user("boss")).unwrap().level(), Level::Admin);
    assert_eq!(access.reduction(Identity::user("ana")).unwrap().level(), Level::User);
}

#[test]
fn versions_follow_what_the_tables_say() {
    let version = |tables: &[&str]| SectionAccess::parse(tables).unwrap().version();
    let mapping = "REGION,PRODUCT\nNORTH,TEA\n";
    assert_eq!(version(&[GOOD]), version(&["\u{feff}access,userid, Region\r\n\r\nuser,\"ana\",north"]));
    let others: [&[&str]; 5] = [
        &["ACCESS,USERID,REGION\nADMIN,ANA,NORTH\n"],
        &["ACCESS,USERID,REGION\n"],
        &[GOOD, mapping],
        &[GOOD, mapping, mapping],
        // The same texts, cut otherwise.
        &["ACCESS,USERID,REGION\nUSER,ANAN,ORTH\n"],
    ];
    let distinct: std::collections::HashSet<_> =
        others.iter().map(|tables| version(tables)).chain([version(&[GOOD])]).collect();
    assert_eq!(distinct.len(), 6);
}

#[test]
fn a_null_cell_is_blank_in_the_version_too() {
    let null = SectionAccess::parse_with(["ACCESS,USERID\nUSER,nil\n"], Options::new().null_text("nil")).unwrap();
    assert_eq!(null.version(), SectionAccess::parse(["ACCESS,USERID\nUSER,\n"]).unwrap().version());
}

#[test]
fn the_identity_columns_in_use_are_named() {
    let access = SectionAccess::parse(["ACCESS,GROUP,USERID\n", "ACCESS,NTNAME\n"]).unwrap();
    assert_eq!(access.identity_columns().collect::<Vec<_>>(), ["USERID", "NTNAME", "GROUP"]);
}

#[test]
fn tables_beyond_a_budget_are_refused() {
    let too_large = |tables: Vec<String>| SectionAccess::parse(tables).unwrap_err().code();
    assert_eq!(too_large(vec![GOOD.to_owned(); MAX_ACCESS_TABLES + 1]), "too_large");
    assert_eq!(too_large(vec!["x".repeat(MAX_ACCESS_BYTES + 1)]), "too_large");
    assert_eq!(too_large(vec![(0..=MAX_ACCESS_COLUMNS).map(|column| format!("C{column},")).collect()]), "too_large");
    // Each pattern fails at each place of the name only at its end.
    let (pattern, name) = ("*".to_owned() + &"A".repeat(5_000) + "B", "A".repeat(10_000));
    let access = SectionAccess::parse([format!("ACCESS,USERID,OMIT\nUSER,ANA,{pattern}\n")]).unwrap();
    assert_eq!(access.check_columns([name]).unwrap_err().code(), "too_large");
    let access = SectionAccess::parse(["ACCESS,USERID\n"]).unwrap();
    assert_eq!(access.check_columns((0..).map(|column| format!("C{column}"))).unwrap_err().code(), "too_large");
    let keys: String = (0..=MAX_LINK_COLUMNS).map(|key| format!(",K{key}")).collect();
    let access = SectionAccess::parse([format!("ACCESS,USERID{keys}\n"), format!("A{keys}\n")]).unwrap();
    assert_eq!(access.check_columns(["A"]).unwrap_err().code(), "too_large");
}

#[test]
fn the_data_must_be_the_data_that_was_checked() {
    let reduction = SectionAccess::parse([GOOD]).unwrap().check_columns(["REGION", "V"]).unwrap();
    let reduction = reduction.reduction(Identity::user("ana")).unwrap();
    for data in ["REGION,V,COST\nNORTH,1,2\n", "V\n1\n", "region,V\nNORTH,1\n", "REGION,V,V\nNORTH,1,1\n"] {
        assert_eq!(reduction.apply(&Table::parse_csv(data).unwrap()).unwrap_err().code(), "schema_changed", "{data:?}");
    }
    assert_eq!(
        reduction.apply(&Table::parse_csv("V,REGION\n1,NORTH\n").unwrap()).unwrap().to_csv(),
        "V,REGION\n1,NORTH\n"
    );
}
