//! The naive evaluator and a reduced table give the same rows and columns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::prelude::SessionContext;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use qsec_datafusion::ReducedTable;

use crate::naive;
use crate::question::question;

/// Questions that are answered with rows.
const CASES: usize = 1_000;

type Rows = Vec<Vec<Option<String>>>;

#[tokio::test]
async fn a_reduced_table_gives_what_the_semantics_say() {
    let mut runner = TestRunner::default();
    let (mut cases, mut with_rows) = (0, 0);
    while cases < CASES {
        let mut question = question().new_tree(&mut runner).unwrap().current();
        question.settings.strict = false;
        let Ok(expected) = naive::reduce(&question.access, &question.data, &question.person, &question.settings) else {
            continue;
        };
        let null = question.settings.null.clone();
        let cell = |cell: &String| Some(cell.clone()).filter(|cell| Some(cell) != null.as_ref());
        let data: Rows = question.data.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let columns = question.data.header.iter().enumerate().map(|(index, name)| {
            let column: ArrayRef = Arc::new(data.iter().map(|row| row[index].clone()).collect::<StringArray>());
            (name, column, true)
        });
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let context = SessionContext::new();
        let whole = context.read_batch(batch).unwrap().into_view();
        let mine = ReducedTable::new(whole, &question.reduction().unwrap()).unwrap();
        let shown = context.read_table(Arc::new(mine)).unwrap();
        let names: Vec<String> = shown.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, expected.header);
        let mut rows: Rows = shown.collect().await.unwrap().iter().flat_map(texts).collect();
        let mut wanted: Rows = expected.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        rows.sort();
        wanted.sort();
        assert_eq!(rows, wanted, "{question:#?}");
        cases += 1;
        with_rows += usize::from(!wanted.is_empty());
    }
    assert!(with_rows > CASES / 10, "{with_rows}");
    println!("{cases} cases, {with_rows} with rows");
}

fn texts(batch: &RecordBatch) -> Rows {
    let cell = |row: usize, column: &ArrayRef| column.as_string::<i32>().iter().nth(row).unwrap().map(str::to_owned);
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| cell(row, column)).collect()).collect()
}
