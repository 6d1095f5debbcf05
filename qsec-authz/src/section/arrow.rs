//! Arrow record batches: rows by a mask, columns by projection.
//!
//! Reduction columns are texts: `Utf8`, `LargeUtf8`, `Utf8View`, or dictionaries of them with any key type. A dictionary is
//! decided once per dictionary value. NULL is what is not valid, never a text. A reduced batch has no value of a hidden row in its
//! dictionaries, lists and buffers either, nor one of what it is a slice of.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
//! use qsec_authz::section::{Identity, SectionAccess};
//!
//! let region: ArrayRef = Arc::new(StringArray::from(vec![Some("NORTH"), Some("SOUTH"), None]));
//! let sales: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
//! let batch = RecordBatch::try_from_iter([("REGION", region), ("SALES", sales)])?;
//!
//! let access = SectionAccess::parse(["ACCESS,USERID,REGION,OMIT\nUSER,ANA,NORTH,SALES\n"])?.check_schema(&batch.schema())?;
//! let mine = access.reduction(Identity::user("ana"))?.apply(&batch)?;
//! assert_eq!((mine.num_rows(), mine.num_columns()), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type, RunEndIndexType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, GenericListViewArray, OffsetSizeTrait,
    PrimitiveArray, RecordBatch, RecordBatchOptions, RunArray, StringArrayType, make_array, new_empty_array,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Schema};
use arrow_select::concat::concat;
use arrow_select::dictionary::garbage_collect_any_dictionary;
use arrow_select::filter::{filter, filter_record_batch};

use super::access::SectionAccess;
use super::checked::CheckedAccess;
use super::error::{AccessError, ReduceError};
use super::options::{DataCase, EmptyRows, NullRows};
use super::reduction::sealed::{Data, Judged};
use super::reduction::{Binding, Field, Reducible, Reduction, Verdict};

impl SectionAccess {
    /// Checks the access tables against the columns of a schema.
    ///
    /// # Errors
    /// As [`SectionAccess::check_columns`].
    pub fn check_schema(&self, schema: &Schema) -> Result<CheckedAccess, AccessError> {
        self.check_columns(schema.fields().iter().map(|field| field.name()))
    }
}

impl Reduction {
    /// Which rows of a batch the user may see. Strict exclusion is not asked: an excluded user sees no row.
    ///
    /// # Errors
    /// `schema_changed` if the columns are not those that were checked, `unsupported_type` if a reduction column does not
    /// hold texts.
    pub fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray, ReduceError> {
        let judged = batch.judge(self, &self.bind(batch.names())?)?;
        Ok(BooleanArray::new(judged.mask, None))
    }
}

impl Reduction {
    /// The rows of a batch that the user may see, without the columns that are left out. Unlike a filter by [`Reduction::mask`], it
    /// leaves no value of a hidden row in dictionaries and in the buffers of views. Strict exclusion is not asked: an excluded user
    /// sees no row.
    ///
    /// # Errors
    /// As [`Reduction::mask`].
    pub fn visible(&self, batch: &RecordBatch) -> Result<RecordBatch, ReduceError> {
        let binding = self.bind(batch.names())?;
        let judged = batch.judge(self, &binding)?;
        batch.keep(&binding, &judged.mask)
    }
}

impl Reducible for RecordBatch {
    fn row_count(&self) -> usize {
        self.num_rows()
    }
}

#[expect(private_interfaces, reason = "the trait is sealed by being unnameable")]
impl Data for RecordBatch {
    type Mask = BooleanBuffer;

    fn names(&self) -> impl Iterator<Item = &str> {
        self.schema_ref().fields().iter().map(|field| field.name().as_str())
    }

    fn judge(&self, reduction: &Reduction, binding: &Binding) -> Result<Judged<BooleanBuffer>, ReduceError> {
        let mut found = Vec::with_capacity(binding.fields.len());
        let mut mask: Option<BooleanBuffer> = None;
        for (field, &index) in reduction.fields().iter().zip(&binding.fields) {
            let column = self.columns().get(index).ok_or_else(|| internal(&"a bound column is missing"))?;
            let judged = judge_column(field, column.as_ref())?;
            found.push(judged.found);
            mask = Some(match mask {
                Some(mask) => &mask & &judged.visible,
                None => judged.visible,
            });
        }
        let mask = mask.unwrap_or_else(|| BooleanBuffer::new_set(self.num_rows()));
        Ok(Judged { found, mask })
    }

    fn keep(&self, binding: &Binding, mask: &BooleanBuffer) -> Result<Self, ReduceError> {
        let arrow = |error: ArrowError| internal(&error);
        let projected = self.project(&binding.kept).map_err(arrow)?;
        let filtered = filter_record_batch(&projected, &BooleanArray::new(mask.clone(), None)).map_err(arrow)?;
        let columns = filtered.columns().iter().map(without_hidden).collect::<Result<_, _>>().map_err(arrow)?;
        let rows = RecordBatchOptions::new().with_row_count(Some(filtered.num_rows()));
        Self::try_new_with_options(filtered.schema(), columns, &rows).map_err(arrow)
    }
}

/// Drops what no row has. A filter keeps dictionaries, the values of list views and the buffers of views whole, and of a batch of
/// which all rows are visible it keeps everything, be it a slice of a larger one: so that the values of hidden rows would leave
/// with the batch, written to a file, sent to a client, or asked for by `values()`.
fn without_hidden(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if is_within_more(column) {
        // Two arrays are copied where one would be handed back.
        return below(&concat(&[column.as_ref(), new_empty_array(column.data_type()).as_ref()])?);
    }
    below(column)
}

/// The same of what stands below the values of a column itself.
fn below(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if let Some(lists) = column.as_list_view_opt::<i32>() {
        return only_viewed(lists);
    }
    if let Some(lists) = column.as_list_view_opt::<i64>() {
        return only_viewed(lists);
    }
    if let Some(runs) = column.as_run_opt::<Int32Type>() {
        return own_runs(runs);
    }
    if let Some(runs) = column.as_run_opt::<Int64Type>() {
        return own_runs(runs);
    }
    if let Some(runs) = column.as_run_opt::<Int16Type>() {
        return own_runs(runs);
    }
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        let used = garbage_collect_any_dictionary(dictionary)?;
        let used = used.as_any_dictionary();
        return Ok(used.with_values(without_hidden(used.values())?));
    }
    if let Some(texts) = column.as_string_view_opt() {
        return Ok(Arc::new(texts.gc()));
    }
    if let Some(bytes) = column.as_binary_view_opt() {
        return Ok(Arc::new(bytes.gc()));
    }
    let data = column.to_data();
    if data.child_data().is_empty() {
        return Ok(Arc::clone(column));
    }
    let children = data.child_data().iter().map(|child| Ok(without_hidden(&make_array(child.clone()))?.to_data()));
    let children = children.collect::<Result<_, ArrowError>>()?;
    Ok(make_array(data.into_builder().child_data(children).build()?))
}

/// Whether the offsets of a column leave out some of what they point into.
fn is_within_more(column: &ArrayRef) -> bool {
    fn leaves_out<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, values: usize) -> bool {
        let used = |offset: Option<&O>| offset.map_or(0, |offset| offset.as_usize());
        used(offsets.first()) != 0 || used(offsets.last()) != values
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        leaves_out(texts.offsets(), texts.values().len())
    } else if let Some(texts) = column.as_string_opt::<i64>() {
        leaves_out(texts.offsets(), texts.values().len())
    } else if let Some(bytes) = column.as_binary_opt::<i32>() {
        leaves_out(bytes.offsets(), bytes.values().len())
    } else if let Some(bytes) = column.as_binary_opt::<i64>() {
        leaves_out(bytes.offsets(), bytes.values().len())
    } else if let Some(lists) = column.as_list_opt::<i32>() {
        leaves_out(lists.offsets(), lists.values().len())
    } else if let Some(lists) = column.as_list_opt::<i64>() {
        leaves_out(lists.offsets(), lists.values().len())
    } else if let Some(map) = column.as_map_opt() {
        leaves_out(map.offsets(), map.entries().len())
    } else if let Some(bits) = column.as_boolean_opt() {
        bits.values().offset() != 0 || bits.values().inner().len() > bits.len().div_ceil(8)
    } else {
        false
    }
}

/// The runs that the column itself has.
fn own_runs<R: RunEndIndexType>(runs: &RunArray<R>) -> Result<ArrayRef, ArrowError> {
    if runs.is_empty() {
        return Ok(new_empty_array(runs.data_type()));
    }
    let ends = PrimitiveArray::<R>::from_iter_values(runs.run_ends().sliced_values());
    Ok(Arc::new(RunArray::try_new(&ends, &without_hidden(&runs.values_slice())?)?))
}

/// The same lists over those values alone that some list shows. Lists may overlap: each value is kept once.
fn only_viewed<O: OffsetSizeTrait>(lists: &GenericListViewArray<O>) -> Result<ArrayRef, ArrowError> {
    let (DataType::ListView(field) | DataType::LargeListView(field)) = lists.data_type() else {
        return Err(ArrowError::InvalidArgumentError("no list view".to_owned()));
    };
    let shown = |row: usize| {
        let size = if lists.is_valid(row) { lists.value_size(row).as_usize() } else { 0 };
        if size == 0 { (0, 0) } else { (lists.value_offset(row).as_usize(), size) }
    };
    let mut starts_and_ends = vec![(0_usize, 0_usize); lists.values().len().saturating_add(1)];
    for (start, size) in (0..lists.len()).map(shown).filter(|(_, size)| *size > 0) {
        if let Some((starts, _)) = starts_and_ends.get_mut(start) {
            *starts = starts.saturating_add(1);
        }
        if let Some((_, ends)) = starts_and_ends.get_mut(start.saturating_add(size)) {
            *ends = ends.saturating_add(1);
        }
    }
    let (mut open, mut kept) = (0_usize, 0_usize);
    let (mut used, mut places) = (Vec::new(), Vec::new());
    for (starts, ends) in starts_and_ends {
        open = open.saturating_add(starts).saturating_sub(ends);
        places.push(kept);
        used.push(open > 0);
        kept = kept.saturating_add(usize::from(open > 0));
    }
    used.truncate(lists.values().len());
    let values = filter(lists.values().as_ref(), &BooleanArray::from(used))?;
    let place = |row: usize| places.get(shown(row).0).copied().unwrap_or_default();
    let offsets: Vec<O> = (0..lists.len()).map(|row| O::usize_as(place(row))).collect();
    let sizes: Vec<O> = (0..lists.len()).map(|row| O::usize_as(shown(row).1)).collect();
    let values = without_hidden(&values)?;
    let nulls = lists.nulls().cloned();
    let lists = GenericListViewArray::try_new(Arc::clone(field), offsets.into(), sizes.into(), values, nulls)?;
    Ok(Arc::new(lists))
}

fn internal(error: &dyn std::fmt::Display) -> ReduceError {
    ReduceError::Internal(error.to_string())
}

/// What a field says of a column.
struct JudgedColumn {
    visible: BooleanBuffer,
    /// Whether some cell is among the values.
    found: bool,
}

fn judge_column(field: &Field, column: &dyn Array) -> Result<JudgedColumn, ReduceError> {
    type Judge = fn(&Field, &dyn Array) -> Option<JudgedColumn>;
    /// Each takes one type of column, and nothing of any other.
    const JUDGES: [Judge; 11] = [
        |field, column| Some(judge_texts(field, column.as_string_opt::<i32>()?)),
        |field, column| Some(judge_texts(field, column.as_string_opt::<i64>()?)),
        |field, column| Some(judge_texts(field, column.as_string_view_opt()?)),
        judge_dictionary::<Int32Type>,
        judge_dictionary::<Int8Type>,
        judge_dictionary::<Int16Type>,
        judge_dictionary::<Int64Type>,
        judge_dictionary::<UInt8Type>,
        judge_dictionary::<UInt16Type>,
        judge_dictionary::<UInt32Type>,
        judge_dictionary::<UInt64Type>,
    ];
    if field.values().is_empty() {
        return Ok(JudgedColumn { visible: BooleanBuffer::new_unset(column.len()), found: false });
    }
    JUDGES.iter().find_map(|judge| judge(field, column)).ok_or_else(|| ReduceError::UnsupportedType {
        column: field.column().to_owned(),
        data_type: column.data_type().to_string(),
    })
}

fn judge_texts<'a>(field: &Field, texts: impl StringArrayType<'a> + Copy) -> JudgedColumn {
    let simple = field.data_case() == DataCase::Exact
        && field.null_rows() == NullRows::Hide
        && field.empty_rows() == EmptyRows::Hide;
    if simple {
        let values = field.values();
        let mut visible = BooleanBuffer::collect_bool(texts.len(), |row| values.contains(texts.value(row)));
        // What stands in an invalid cell is arbitrary, also a listed value.
        if let Some(nulls) = texts.nulls() {
            visible = &visible & nulls.inner();
        }
        let found = visible.has_true();
        return JudgedColumn { visible, found };
    }
    let mut found = false;
    let visible = BooleanBuffer::collect_bool(texts.len(), |row| {
        let verdict = field.judge(texts.is_valid(row).then(|| texts.value(row)));
        found |= verdict == Verdict::Listed;
        verdict != Verdict::Hidden
    });
    JudgedColumn { visible, found }
}

/// Judges each value of the dictionary once, then each row by its key.
fn judge_dictionary<K: ArrowDictionaryKeyType>(field: &Field, column: &dyn Array) -> Option<JudgedColumn> {
    let dictionary: &DictionaryArray<K> = column.as_dictionary_opt()?;
    let (keys, nulls) = (dictionary.keys().values().as_ref(), dictionary.keys().nulls());
    let values = dictionary.values().as_ref();
    // Batches of a stream often share one dictionary that is larger than each of them.
    let used = (values.len() > keys.len()).then(|| used_values::<K>(keys, values.len()));
    let verdicts = judge_values(field, values, used.as_deref())?;

    let mut visible = by_key::<K>(keys, nulls, &verdicts, |verdict| verdict != Verdict::Hidden);
    // A dictionary may hold values that no row has: only rows count.
    let found = if verdicts.contains(&Verdict::Shown) {
        by_key::<K>(keys, nulls, &verdicts, |verdict| verdict == Verdict::Listed).has_true()
    } else {
        visible.has_true()
    };
    if let (Verdict::Shown, Some(nulls)) = (field.judge(None), nulls) {
        visible = &visible | &!nulls.inner();
    }
    Some(JudgedColumn { visible, found })
}

/// Which of `count` values some key points at.
fn used_values<K: ArrowPrimitiveType>(keys: &[K::Native], count: usize) -> Vec<bool> {
    let mut used = vec![false; count];
    for key in keys {
        if let Some(used) = used.get_mut(key.as_usize()) {
            *used = true;
        }
    }
    used
}

/// Judges the values that are used; `None` if they are not texts.
fn judge_values(field: &Field, values: &dyn Array, used: Option<&[bool]>) -> Option<Vec<Verdict>> {
    fn judge<'a>(field: &Field, values: impl StringArrayType<'a> + Copy, used: Option<&[bool]>) -> Vec<Verdict> {
        let verdict = |index: usize| match used.and_then(|used| used.get(index)) {
            Some(false) => Verdict::Hidden,
            Some(true) | None => field.judge(values.is_valid(index).then(|| values.value(index))),
        };
        (0..values.len()).map(verdict).collect()
    }
    if let Some(values) = values.as_string_opt::<i32>() {
        Some(judge(field, values, used))
    } else if let Some(values) = values.as_string_opt::<i64>() {
        Some(judge(field, values, used))
    } else {
        values.as_string_view_opt().map(|values| judge(field, values, used))
    }
}

/// The rows whose valid key has a verdict that `accept` takes.
fn by_key<K: ArrowPrimitiveType>(
    keys: &[K::Native],
    nulls: Option<&NullBuffer>,
    verdicts: &[Verdict],
    accept: impl Fn(Verdict) -> bool,
) -> BooleanBuffer {
    let accepted: Vec<bool> = verdicts.iter().map(|&verdict| accept(verdict)).collect();
    let lookup = |row: usize| keys.get(row).and_then(|key| accepted.get(key.as_usize())).copied().unwrap_or(false);
    let rows = BooleanBuffer::collect_bool(keys.len(), lookup);
    match nulls {
        Some(nulls) => &rows & nulls.inner(),
        None => rows,
    }
}
