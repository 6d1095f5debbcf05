//! Record batches: all column types agree with the table of texts, NULL is by validity, dictionaries may lie.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, Int32Type, UInt16Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Int32Array, Int64Array, LargeStringArray, ListArray, ListViewArray,
    PrimitiveArray, RecordBatch, RunArray, StringArray, StringViewArray,
};
use proptest::prelude::*;
use qsec_authz::section::{EmptyRows, Identity, NullRows, Options, Reduction, SectionAccess};

use crate::naive;
use crate::question::{Question, question};

type Texts = Vec<Option<String>>;

fn utf8(texts: &Texts) -> ArrayRef {
    Arc::new(StringArray::from(texts.clone()))
}

fn large(texts: &Texts) -> ArrayRef {
    Arc::new(LargeStringArray::from(texts.clone()))
}

fn view(texts: &Texts) -> ArrayRef {
    Arc::new(StringViewArray::from(texts.clone()))
}

/// A dictionary with NULL by key for every second NULL and by value for the others, and with values that no row has.
fn dictionary<K: ArrowDictionaryKeyType>(texts: &Texts, values: fn(&Texts) -> ArrayRef) -> ArrayRef
where
    K::Native: TryFrom<usize>,
{
    let mut words: Texts = vec![Some("UNUSED".to_owned()), None, Some("NORTH".to_owned()), Some("TEA".to_owned())];
    let mut nulls = 0;
    let keys = texts.iter().map(|text| {
        if text.is_none() {
            nulls += 1;
            return (nulls % 2 == 0).then(|| K::Native::try_from(1).ok().unwrap());
        }
        words.push(text.clone());
        Some(K::Native::try_from(words.len() - 1).ok().unwrap())
    });
    let keys: PrimitiveArray<K> = keys.collect();
    Arc::new(DictionaryArray::new(keys, values(&words)))
}

fn batch(question: &Question, make: impl Fn(&Texts) -> ArrayRef) -> RecordBatch {
    let null = question.settings.null.as_deref();
    let columns = question.data.header.iter().enumerate().map(|(index, name)| {
        let cells = question.data.rows.iter().map(|row| row[index].clone());
        let texts: Texts = cells.map(|cell| Some(cell).filter(|cell| Some(cell.as_str()) != null)).collect();
        (name, make(&texts), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The cells of a reduced batch, as texts again.
fn cells(batch: &RecordBatch, null: Option<&str>) -> Vec<Vec<String>> {
    let text = |column: &ArrayRef, row: usize| {
        let plain = match column.as_any_dictionary_opt() {
            Some(dictionary) => arrow_select::take::take(dictionary.values(), dictionary.keys(), None).unwrap(),
            None => Arc::clone(column),
        };
        if plain.is_null(row) {
            return null.unwrap_or_default().to_owned();
        }
        let text = plain.as_string_opt::<i32>().map(|texts| texts.value(row));
        let text = text.or_else(|| plain.as_string_opt::<i64>().map(|texts| texts.value(row)));
        text.unwrap_or_else(|| plain.as_string_view().value(row)).to_owned()
    };
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| text(column, row)).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_of_every_type_give_what_the_semantics_say(question in question(), kind in 0_usize..6) {
        let expected = naive::reduce(&question.access, &question.data, &question.person, &question.settings);
        let batch = batch(&question, |texts| match kind {
            0 => utf8(texts),
            1 => large(texts),
            2 => view(texts),
            3 => dictionary::<Int32Type>(texts, utf8),
            4 => dictionary::<UInt16Type>(texts, large),
            _ => dictionary::<Int8Type>(texts, view),
        });
        let reduced = question.reduction().and_then(|reduction| reduction.apply(&batch));
        match (expected, reduced) {
            (Ok(expected), Ok(reduced)) => {
                let names = reduced.schema_ref().fields().iter().map(|field| field.name().clone());
                prop_assert_eq!(names.collect::<Vec<_>>(), expected.header);
                prop_assert_eq!(cells(&reduced, question.settings.null.as_deref()), expected.rows);
            }
            (expected, reduced) => prop_assert_eq!(expected.err(), reduced.map_err(|error| error.code()).err()),
        }
    }
}

fn reduction(options: Options, columns: &[&str]) -> Reduction {
    let access = SectionAccess::parse_with(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"], options).unwrap();
    access.check_columns(columns).unwrap().reduction(Identity::user("ana")).unwrap()
}

fn one_column(name: &str, column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap()
}

#[test]
fn what_stands_in_an_invalid_cell_is_not_seen() {
    use arrow_buffer::{NullBuffer, OffsetBuffer};
    let offsets = OffsetBuffer::from_lengths([5, 5]);
    let nulls = NullBuffer::from(vec![true, false]);
    let texts = StringArray::new(offsets, b"NORTHNORTH".into(), Some(nulls.clone()));
    let reduction = reduction(Options::new(), &["REGION"]);
    assert_eq!(reduction.mask(&one_column("REGION", Arc::new(texts))).unwrap().true_count(), 1);

    let keys = Int32Array::new(vec![0, 0].into(), Some(nulls));
    let dictionary = DictionaryArray::new(keys, Arc::new(StringArray::from(vec!["NORTH"])));
    assert_eq!(reduction.mask(&one_column("REGION", Arc::new(dictionary))).unwrap().true_count(), 1);
}

#[test]
fn a_dictionary_value_that_no_row_has_admits_nobody() {
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("NORTH"), Some("SOUTH"), Some(""), None]));
    let column = DictionaryArray::new(Int32Array::from(vec![Some(1), Some(2), Some(3), None]), values);
    let batch = one_column("REGION", Arc::new(column));
    for options in
        [Options::new(), Options::new().empty_rows(EmptyRows::Show), Options::new().null_rows(NullRows::Show)]
    {
        assert_eq!(reduction(options, &["REGION"]).apply(&batch).unwrap_err().code(), "excluded");
    }
}

#[test]
fn a_dictionary_that_is_larger_than_its_batch_is_decided_alike() {
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..1_000).map(|index| format!("R{index}")).chain(["NORTH".to_owned()]),
    ));
    let column = DictionaryArray::new(Int32Array::from(vec![Some(3), Some(1_000), None]), values);
    let mask = reduction(Options::new(), &["REGION"]).mask(&one_column("REGION", Arc::new(column))).unwrap();
    assert_eq!(mask.values().iter().collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_sliced_batch_is_judged_by_its_own_rows() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["NORTH", "SOUTH", "NORTH", "SOUTH", "NORTH"]));
    let keys: ArrayRef = dictionary::<Int32Type>(
        &["NORTH", "SOUTH", "NORTH", "SOUTH", "NORTH"].map(|text| Some(text.to_owned())).to_vec(),
        utf8,
    );
    for column in [texts, keys] {
        let batch = one_column("REGION", column).slice(1, 3);
        let mask = reduction(Options::new(), &["REGION"]).mask(&batch).unwrap();
        assert_eq!(mask.values().iter().collect::<Vec<_>>(), [false, true, false]);
    }
}

#[test]
fn numbers_do_not_reduce() {
    let batch = one_column("REGION", Arc::new(Int64Array::from(vec![1])));
    let error = reduction(Options::new(), &["REGION"]).apply(&batch).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("unsupported_type", "column `REGION` of type Int64 does not hold texts")
    );
}

#[test]
fn a_batch_may_lack_columns_that_do_not_reduce_but_bring_no_new_ones() {
    let reduction = reduction(Options::new(), &["REGION", "SALES"]);
    let region: ArrayRef = Arc::new(StringArray::from(vec!["NORTH"]));
    let sales: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let new = RecordBatch::try_from_iter([("REGION", Arc::clone(&region)), ("COST", Arc::clone(&sales))]).unwrap();
    let twice = RecordBatch::try_from_iter([("REGION", Arc::clone(&region)), ("REGION", Arc::clone(&region))]).unwrap();
    let other = RecordBatch::try_from_iter([("region", Arc::clone(&region))]).unwrap();
    let missing = RecordBatch::try_from_iter([("SALES", sales)]).unwrap();
    assert_eq!(reduction.apply(&one_column("REGION", region)).unwrap().num_rows(), 1);
    for batch in [new, twice, other, missing] {
        assert_eq!(reduction.apply(&batch).unwrap_err().code(), "schema_changed");
    }
}

#[test]
fn a_survey_admits_by_any_batch_and_excludes_by_all() {
    let reduction = reduction(Options::new(), &["REGION"]);
    let south = one_column("REGION", Arc::new(StringArray::from(vec!["SOUTH"])));
    let north = one_column("REGION", Arc::new(StringArray::from(vec!["NORTH"])));
    let mut survey = reduction.survey();
    survey.observe(&south).unwrap();
    assert_eq!(survey.clone().admit().unwrap_err().code(), "excluded");
    survey.observe(&north).unwrap();
    let admitted = survey.admit().unwrap();
    assert_eq!((admitted.apply(&south).unwrap().num_rows(), admitted.apply(&north).unwrap().num_rows()), (0, 1));
}

#[test]
fn no_value_of_a_hidden_row_stays_in_dictionaries_views_or_below() {
    let cells = ["NORTH", "a hidden text that is too long to be inline", "SOUTH"];
    let texts: Vec<Option<&str>> = cells.iter().copied().map(Some).collect();
    let dictionary: ArrayRef = Arc::new(texts.iter().copied().collect::<DictionaryArray<Int32Type>>());
    let view: ArrayRef = Arc::new(StringViewArray::from(texts));
    let field = Arc::new(arrow_schema::Field::new("d", dictionary.data_type().clone(), true));
    let nested: ArrayRef = Arc::new(arrow_array::StructArray::from(vec![(field, Arc::clone(&dictionary))]));
    let columns = [("REGION", Arc::clone(&dictionary)), ("D", dictionary), ("V", view), ("S", nested)];
    let reduction = reduction(Options::new(), &["REGION", "D", "V", "S"]);
    let reduced = reduction.apply(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    assert_eq!(reduced.num_rows(), 1);
    for column in reduced.columns() {
        let told = format!("{:?}", column.to_data());
        let bytes = |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        assert!(!told.contains(&bytes("SOUTH")) && !told.contains(&bytes("hidden")), "{told}");
    }
    let whole: ArrayRef = Arc::new(["NORTH", "SOUTH"].into_iter().collect::<DictionaryArray<Int32Type>>());
    assert!(format!("{:?}", whole.to_data()).contains("83, 79, 85, 84, 72"), "the test can fail");
}

/// Whether the text is somewhere in what the column gives away of itself.
fn tells(column: &ArrayRef, text: &str) -> bool {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    format!("{:?}", column.to_data()).contains(&bytes.join(", "))
}

/// One text a row, in a column of each type that points into something.
fn pointing(texts: &[&str]) -> Vec<(&'static str, ArrayRef)> {
    let plain = || texts.iter().copied().map(Some);
    let strings = || Arc::new(plain().collect::<StringArray>()) as ArrayRef;
    let field = || Arc::new(arrow_schema::Field::new_list_field(arrow_schema::DataType::Utf8, true));
    let count = i32::try_from(texts.len()).unwrap();
    // Backwards, so that offsets are not in the order of rows.
    let backwards: StringArray = plain().rev().collect();
    let views = ListViewArray::new(
        field(),
        (0..count).rev().collect::<Vec<_>>().into(),
        vec![1; texts.len()].into(),
        Arc::new(backwards),
        None,
    );
    let offsets = arrow_buffer::OffsetBuffer::from_lengths(vec![1; texts.len()]);
    let lists = ListArray::new(field(), offsets, strings(), None);
    let ends: Vec<i32> = (1..=count).collect();
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(ends), &strings()).unwrap();
    vec![
        ("utf8", strings()),
        ("large", Arc::new(plain().collect::<LargeStringArray>())),
        ("binary", Arc::new(texts.iter().map(|text| Some(text.as_bytes())).collect::<BinaryArray>())),
        ("lists", Arc::new(lists)),
        ("views", Arc::new(views)),
        ("runs", Arc::new(runs)),
    ]
}

#[test]
fn no_value_of_a_hidden_row_stays_in_what_columns_point_into() {
    let hidden = "a hidden text that is too long to be inline";
    let columns = pointing(&["NORTH", hidden, "NORTH", hidden]);
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).chain(["REGION"]).collect();
    let region: ArrayRef = Arc::new(StringArray::from(vec!["NORTH", "SOUTH", "NORTH", "SOUTH"]));
    let whole = RecordBatch::try_from_iter(columns.into_iter().chain([("REGION", region)])).unwrap();
    let reduction = reduction(Options::new(), &names);
    // Of the slice every row is visible, and arrow would hand out the buffers of the whole.
    for (batch, rows) in [(whole.clone(), 2), (whole.slice(2, 1), 1), (whole.slice(1, 2), 1)] {
        let reduced = reduction.apply(&batch).unwrap();
        assert_eq!(reduced.num_rows(), rows);
        for (field, column) in reduced.schema_ref().fields().iter().zip(reduced.columns()) {
            assert!(!tells(column, "hidden") && !tells(column, "SOUTH"), "{}: {:?}", field.name(), column.to_data());
            assert!(tells(column, "NORTH"), "{}", field.name());
        }
    }
    let lists = whole.column_by_name("views").unwrap();
    assert!(tells(lists, "hidden"), "the test can fail");
}

#[test]
fn lists_that_share_their_values_keep_them_and_their_order() {
    let field = Arc::new(arrow_schema::Field::new_list_field(arrow_schema::DataType::Int32, true));
    let values = Arc::new(Int32Array::from(vec![10, 11, 12, 13, 14, 15]));
    let nulls = arrow_buffer::NullBuffer::from(vec![true, true, true, false, true, true]);
    let lists =
        ListViewArray::new(field, vec![3, 0, 2, 1, 6, 4].into(), vec![2, 6, 2, 4, 0, 1].into(), values, Some(nulls));
    let region = StringArray::from(vec!["NORTH", "SOUTH", "NORTH", "NORTH", "NORTH", "NORTH"]);
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("REGION", Arc::new(region) as ArrayRef, false),
        ("L", Arc::new(lists) as ArrayRef, true),
    ]);
    let reduced = reduction(Options::new(), &["REGION", "L"]).apply(&batch.unwrap()).unwrap();
    let lists = reduced.column(1).as_list_view::<i32>();
    let row = |row: usize| lists.is_valid(row).then(|| lists.value(row).as_primitive::<Int32Type>().values().to_vec());
    assert_eq!(
        (0..5).map(row).collect::<Vec<_>>(),
        [Some(vec![13, 14]), Some(vec![12, 13]), None, Some(vec![]), Some(vec![14])]
    );
    assert_eq!(lists.values().as_primitive::<Int32Type>().values(), &[12, 13, 14]);
}
