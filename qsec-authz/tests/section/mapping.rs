//! Mapping tables: what a key opens, and what it does not.

use qsec_authz::section::{Identity, MAX_JOIN_STEPS, SectionAccess, Table};

const DATA: &str = "REGION,PRODUCT,SALES\nNORTH,TEA,1\nSOUTH,TEA,2\nNORTH,MILK,3\nWEST,MILK,4\n";

/// The SALES of the visible rows, or the code.
fn seen(access: &[&str], user: &str) -> String {
    seen_in(DATA, access, user)
}

fn seen_in(data: &str, access: &[&str], user: &str) -> String {
    let data = Table::parse_csv(data).unwrap();
    let access = match SectionAccess::parse(access).and_then(|access| access.check_columns(data.columns())) {
        Ok(access) => access,
        Err(error) => return error.code().to_owned(),
    };
    let reduced = access.reduction(Identity::user(user)).and_then(|reduction| reduction.apply(&data));
    match reduced {
        Ok(mine) => {
            let sales = mine.columns().position(|column| column == "SALES").unwrap();
            (0..mine.rows()).filter_map(|row| mine.cell(row, sales)).collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn a_key_without_mapping_row_gives_no_value_to_an_admin_either() {
    let mapping = "TEAM,REGION\nT1,NORTH\n";
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nADMIN,BOSS,T9\n", mapping], "boss"), "excluded");
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nUSER,ANA,T9\n", mapping], "ana"), "excluded");
}

#[test]
fn a_blank_key_leaves_the_mapped_columns_blank() {
    let mapping = "TEAM,REGION\nT1,NORTH\n,SOUTH\n";
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nADMIN,BOSS,\n", mapping], "boss"), "1 2 3 4");
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nUSER,ANA,\n", mapping], "ana"), "excluded");
}

#[test]
fn a_blank_cell_of_a_mapping_row_does_not_lift_the_reduction() {
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nADMIN,BOSS,T1\n", "TEAM,REGION\nT1,\n"], "boss"), "excluded");
}

#[test]
fn a_star_key_matches_every_listed_value_of_the_other_side() {
    let mapping = "TEAM,REGION\nT1,NORTH\nT2,SOUTH\n,WEST\n";
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nUSER,ANA,*\n", mapping], "ana"), "1 2 3");
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nUSER,ANA,T7\n", "TEAM,REGION\nT1,NORTH\n*,WEST\n"], "ana"), "4");
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nUSER,ANA,*\n", "TEAM,REGION\n*,WEST\n"], "ana"), "4");
}

#[test]
fn a_star_in_a_mapped_column_is_its_listed_values() {
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nUSER,ANA,T1\n", "TEAM,REGION\nT1,*\nT2,SOUTH\nT3,WEST\n"], "ana"), "2 4");
}

#[test]
fn tables_chain_in_the_order_given() {
    let access = "ACCESS,USERID,TEAM\nUSER,ANA,T1\n";
    let (areas, regions) = ("TEAM,AREA\nT1,A1\nT2,A2\n", "AREA,REGION\nA1,NORTH\nA2,SOUTH\n");
    assert_eq!(seen(&[access, areas, regions], "ana"), "1 3");
    assert_eq!(seen(&[access, regions, areas], "ana"), "unlinked_table");
}

#[test]
fn all_shared_columns_join_at_once() {
    let access = "ACCESS,USERID,TEAM,KIND\nUSER,ANA,T1,K1\n";
    assert_eq!(seen(&[access, "TEAM,KIND,REGION\nT1,K2,NORTH\nT2,K1,NORTH\nT1,K1,SOUTH\n"], "ana"), "2");
    assert_eq!(
        seen(&["ACCESS,USERID,TEAM,KIND\nADMIN,BOSS,T1,\n", "TEAM,KIND,REGION\nT1,K1,SOUTH\n"], "boss"),
        "excluded"
    );
}

#[test]
fn a_star_joined_to_one_value_is_that_value_for_later_tables() {
    // T1 is A1 and T2 is A2; only (T1, A2), which nobody has, would open WEST.
    let access = [
        "ACCESS,USERID,TEAM\nUSER,ANA,*\n",
        "TEAM,AREA\nT1,A1\nT2,A2\n",
        "TEAM,AREA,REGION\nT1,A1,NORTH\nT1,A2,WEST\n",
    ];
    assert_eq!(seen(&access, "ana"), "1 3");
}

#[test]
fn a_key_that_is_in_the_data_reduces_too() {
    let data = "TEAM,REGION,SALES\nT1,NORTH,1\nT2,NORTH,2\n";
    assert_eq!(seen_in(data, &["ACCESS,USERID,TEAM\nUSER,ANA,T1\n", "TEAM,REGION\nT1,NORTH\n"], "ana"), "1");
}

#[test]
fn a_mapping_with_a_system_column_is_an_error() {
    assert_eq!(seen(&["ACCESS,USERID,TEAM\nUSER,ANA,T1\n", "TEAM,OMIT\nT1,SALES\n"], "ana"), "no_access_column");
}

#[test]
fn a_join_beyond_the_budget_is_an_error_and_shows_nothing() {
    // Every key of the user is a pair with `*`, so each is compared with every row.
    let side = 3_200;
    assert!(side * side > MAX_JOIN_STEPS);
    let access: String = (0..side).map(|row| format!("USER,ANA,*,{row}\n")).collect();
    let mapping: String = (0..side).map(|row| format!("T1,X{row},NORTH\n")).collect();
    let tables = [format!("ACCESS,USERID,TEAM,KIND\n{access}"), format!("TEAM,KIND,REGION\n{mapping}")];
    let access = SectionAccess::parse(tables).unwrap().check_columns(["REGION"]).unwrap();
    let error = access.reduction(Identity::user("ana")).unwrap_err();
    assert_eq!((error.code(), error.refusal()), ("too_large", None));
}
