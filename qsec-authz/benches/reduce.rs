//! One user's rows among a million, by a dictionary column and by a plain one, each beside the least that such a mask takes:
//! a look-up by key, and a look-up in a `HashSet`, in a plain loop.

#![expect(clippy::format_collect, reason = "an access table is made once")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "a bench stops on its own faults"
)]

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_buffer::BooleanBuffer;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qsec_authz::section::{Identity, Reduction, SectionAccess};

const ROWS: usize = 1_000_000;
const REGIONS: usize = 1_000;
/// Regions of the user: one in ten.
const SEEN: usize = 100;

fn region(index: usize) -> String {
    format!("REGION {index:05}")
}

/// Rows in no order, so that neither branch prediction nor caches have an easy time: a multiplicative walk over the regions.
fn key(row: usize) -> usize {
    (row.wrapping_mul(0x9e37_79b9) >> 7) % REGIONS
}

fn batch(region: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("REGION", region)]).expect("a batch")
}

fn dictionary() -> RecordBatch {
    let values = StringArray::from_iter_values((0..REGIONS).map(region));
    let keys = Int32Array::from_iter_values((0..ROWS).map(|row| i32::try_from(key(row)).expect("a key")));
    batch(Arc::new(DictionaryArray::new(keys, Arc::new(values))))
}

fn plain() -> RecordBatch {
    batch(Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| region(key(row))))))
}

fn seen() -> impl Iterator<Item = String> {
    (0..SEEN).map(|index| region(index * REGIONS / SEEN))
}

fn reduction() -> Reduction {
    let rows: String = seen().map(|region| format!("USER,ANA,{region}\n")).collect();
    let access = SectionAccess::parse([format!("ACCESS,USERID,REGION\n{rows}")]).expect("an access table");
    access.check_columns(["REGION"]).expect("the column").reduction(Identity::user("ana")).expect("a reduction")
}

fn reduce_dictionary(criterion: &mut Criterion) {
    let (batch, reduction) = (dictionary(), reduction());
    let texts: HashSet<String> = seen().collect();
    let by_loop = || {
        let column = batch.column(0).as_dictionary::<Int32Type>();
        let values = column.values().as_string::<i32>();
        let allowed: Vec<bool> = values.iter().map(|value| value.is_some_and(|value| texts.contains(value))).collect();
        let keys = column.keys().values();
        BooleanBuffer::collect_bool(keys.len(), |row| allowed[keys[row] as usize])
    };
    assert_eq!(reduction.mask(&batch).expect("a mask").values(), &by_loop());

    let mut group = criterion.benchmark_group("reduce/dictionary");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("qsec", |bencher| bencher.iter(|| reduction.mask(black_box(&batch))));
    group.bench_function("loop", |bencher| bencher.iter(|| black_box(by_loop())));
    group.finish();
}

fn reduce_plain(criterion: &mut Criterion) {
    let (batch, reduction) = (plain(), reduction());
    let texts: HashSet<String> = seen().collect();
    let by_hash_set = || {
        let column = batch.column(0).as_string::<i32>();
        BooleanBuffer::collect_bool(column.len(), |row| texts.contains(column.value(row)))
    };
    assert_eq!(reduction.mask(&batch).expect("a mask").values(), &by_hash_set());

    let mut group = criterion.benchmark_group("reduce/plain");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("qsec", |bencher| bencher.iter(|| reduction.mask(black_box(&batch))));
    group.bench_function("hashset", |bencher| bencher.iter(|| black_box(by_hash_set())));
    group.finish();
}

criterion_group!(benches, reduce_dictionary, reduce_plain);
criterion_main!(benches);
