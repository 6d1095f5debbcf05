//! Any SQL of the user, over a table of which they may see two rows and two columns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Int32Type, SchemaRef};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use qsec_authz::section::{Identity, Reduction, SectionAccess};
use qsec_datafusion::ReducedTable;

fn batch() -> RecordBatch {
    let region: ArrayRef = Arc::new(StringArray::from(vec![Some("NORTH"), Some("SOUTH"), Some("NORTH"), None]));
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let note: ArrayRef = Arc::new(StringArray::from(vec!["11", "secret", "33", "secret"]));
    let cost: ArrayRef = Arc::new(Int64Array::from(vec![7, 8, 9, 10]));
    RecordBatch::try_from_iter([("region", region), ("id", id), ("note", note), ("cost", cost)]).unwrap()
}

fn reduction(access: &str) -> Reduction {
    let access = SectionAccess::parse([access]).unwrap().check_schema(&batch().schema()).unwrap();
    access.reduction(Identity::user("ana")).unwrap()
}

fn context(access: &str) -> SessionContext {
    let whole = MemTable::try_new(batch().schema(), vec![vec![batch()], vec![batch().slice(0, 0)]]).unwrap();
    let context = SessionContext::new();
    let mine = ReducedTable::new(Arc::new(whole), &reduction(access)).unwrap();
    context.register_table("sales", Arc::new(mine)).unwrap();
    context
}

const ANA: &str = "ACCESS,USERID,REGION,OMIT\nUSER,ANA,NORTH,COST\n";

async fn ask(context: &SessionContext, sql: &str) -> Result<String, String> {
    let frame = context.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

#[tokio::test]
async fn queries_of_any_kind_stay_within_the_rows() {
    let context = context(ANA);
    for (sql, count) in [
        ("SELECT count(*) AS n FROM sales", 2),
        ("SELECT count(*) AS n FROM sales WHERE region = 'SOUTH' OR true", 2),
        ("SELECT count(*) AS n FROM sales WHERE region IS NULL", 0),
        ("SELECT count(*) AS n FROM sales a JOIN sales b ON a.id <> b.id", 2),
        ("SELECT count(*) AS n FROM (SELECT id FROM sales UNION SELECT id + 1 FROM sales)", 4),
        ("SELECT (SELECT max(id) FROM sales) AS n", 3),
        ("SELECT min(id) AS n FROM sales WHERE id > 1", 3),
        ("SELECT count(*) AS n FROM sales WHERE EXISTS (SELECT 1 FROM sales s WHERE s.id = 2)", 0),
        ("WITH s AS (SELECT * FROM sales) SELECT count(*) AS n FROM s WHERE id IN (2, 4)", 0),
        ("SELECT max(row_number) AS n FROM (SELECT row_number() OVER () AS row_number FROM sales)", 2),
        ("SELECT count(*) AS n FROM (SELECT id FROM sales ORDER BY id DESC LIMIT 3)", 2),
        ("SELECT id AS n FROM sales ORDER BY id LIMIT 1 OFFSET 1", 3),
        // Hidden rows are not evaluated: neither fails.
        ("SELECT count(*) AS n FROM sales WHERE 1 / (id - 2) < 9", 2),
        ("SELECT sum(CAST(note AS BIGINT)) AS n FROM sales", 44),
    ] {
        let expected = format!("| {count} ");
        let answer = ask(&context, sql).await.unwrap();
        assert!(answer.contains(&expected) && answer.lines().count() == 5, "{sql}\n{answer}");
    }
}

/// A cast is evaluated on all values of a dictionary, and its error quotes the one that fails.
#[tokio::test]
async fn dictionaries_hold_no_value_of_a_hidden_row() {
    let region: ArrayRef = Arc::new(StringArray::from(vec!["NORTH", "SOUTH", "NORTH"]));
    let codes: DictionaryArray<Int32Type> = vec!["11", "secret", "33"].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("region", region), ("code", Arc::new(codes) as ArrayRef)]).unwrap();
    let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"]).unwrap();
    let reduction = access.check_schema(&batch.schema()).unwrap().reduction(Identity::user("ana")).unwrap();
    let whole = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    let context = SessionContext::new();
    context.register_table("sales", Arc::new(ReducedTable::new(Arc::new(whole), &reduction).unwrap())).unwrap();
    let answer = ask(&context, "SELECT sum(CAST(code AS BIGINT)) AS n FROM sales").await.unwrap();
    assert!(answer.contains("| 44 "), "{answer}");
}

#[tokio::test]
async fn omitted_columns_cannot_be_named() {
    let context = context(ANA);
    for sql in
        ["SELECT cost FROM sales", "SELECT id FROM sales ORDER BY cost", "SELECT count(*) FROM sales WHERE cost > 8"]
    {
        let error = ask(&context, sql).await.unwrap_err();
        assert!(error.contains("No field named cost"), "{error}");
    }
    let all = ask(&context, "SELECT * FROM sales").await.unwrap();
    assert!(!all.contains("cost") && all.contains("NORTH"), "{all}");
}

#[tokio::test]
async fn a_column_decides_also_where_it_is_left_out_or_not_asked_for() {
    let hidden = context("ACCESS,USERID,REGION,OMIT\nUSER,ANA,NORTH,REGION\n");
    let answer = ask(&hidden, "SELECT sum(id) AS n FROM sales").await.unwrap();
    assert!(answer.contains("| 4 "), "{answer}");
    assert!(ask(&hidden, "SELECT region FROM sales").await.is_err());
    let answer = ask(&context(ANA), "SELECT note FROM sales").await.unwrap();
    assert!(answer.contains("11") && answer.contains("33") && !answer.contains("secret"), "{answer}");
}

#[tokio::test]
async fn plans_say_neither_hidden_values_nor_numbers_nor_what_decides() {
    let context = context(ANA);
    for sql in
        ["EXPLAIN SELECT id FROM sales", "EXPLAIN VERBOSE SELECT id FROM sales", "EXPLAIN ANALYZE SELECT id FROM sales"]
    {
        let plan = ask(&context, sql).await.unwrap();
        assert!(plan.contains("ReducedScan"), "{plan}");
        for told in ["NORTH", "SOUTH", "secret", "cost", "Exact(4)", "output_rows=4", "DataSource"] {
            assert!(!plan.contains(told), "{told}: {plan}");
        }
    }
}

#[tokio::test]
async fn writes_do_not_reach_the_table() {
    let context = context(ANA);
    for sql in ["INSERT INTO sales VALUES ('NORTH', 9, '')", "DELETE FROM sales", "UPDATE sales SET id = 0"] {
        assert!(ask(&context, sql).await.is_err(), "{sql}");
    }
    assert!(ask(&context, "SELECT count(*) AS n FROM sales").await.unwrap().contains("| 2 "));
}

/// Gives all of its columns, backwards, whatever it is asked for.
#[derive(Debug)]
struct Careless(Arc<MemTable>);

#[async_trait::async_trait]
impl TableProvider for Careless {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        _: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.0.scan(state, Some(&vec![3, 2, 1, 0]), filters, limit).await
    }
}

#[tokio::test]
async fn a_table_that_mixes_its_columns_up_shows_none_as_another() {
    let whole = MemTable::try_new(batch().schema(), vec![vec![batch()]]).unwrap();
    let context = SessionContext::new();
    let mine = ReducedTable::new(Arc::new(Careless(Arc::new(whole))), &reduction(ANA)).unwrap();
    context.register_table("sales", Arc::new(mine)).unwrap();
    let answer = ask(&context, "SELECT sum(id) AS n FROM sales").await.unwrap();
    assert!(answer.contains("| 4 "), "{answer}");
    let answer = ask(&context, "SELECT region, note FROM sales ORDER BY note").await.unwrap();
    assert!(answer.contains("| NORTH  | 11 ") && answer.contains("| NORTH  | 33 "), "{answer}");
}

#[test]
fn other_columns_than_those_that_were_checked_are_refused() {
    let narrow = batch().project(&[0, 1]).unwrap();
    let wide = RecordBatch::try_from_iter(
        ["region", "id", "note", "cost", "new"].into_iter().map(|name| (name, Arc::clone(batch().column(0)))),
    );
    for batch in [narrow, wide.unwrap()] {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        let error = ReducedTable::new(Arc::new(table), &reduction(ANA)).unwrap_err();
        assert_eq!(error.code(), "schema_changed");
    }
}
