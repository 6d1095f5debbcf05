//! Parquet and Arrow files: read batch by batch, never whole.
//!
//! Strict exclusion is decided over the reduction columns of all batches before anything is written. Metadata of the file is
//! not written on: it names columns that may be left out.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use arrow_select::filter::filter;
use arrow_select::take::take;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use qsec::authz::section::{Admitted, Identity, ReduceError, Reduction, SectionAccess};

/// Rows of a Parquet file that are in memory at a time.
const BATCH_ROWS: usize = 8192;

/// How a table is written, by the extension of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Parquet,
    Arrow,
}

impl Format {
    /// CSV, unless the extension says otherwise.
    pub(super) fn of(path: &Path) -> Self {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("parquet") => Self::Parquet,
            Some("arrow" | "ipc" | "feather") => Self::Arrow,
            _ => Self::Csv,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
        }
    }
}

/// Why a column file was not reduced.
#[derive(Debug)]
pub(super) enum ColumnsError {
    Reduce(ReduceError),
    /// The file is not what its extension says.
    Malformed(String),
}

impl<E: Into<ReduceError>> From<E> for ColumnsError {
    fn from(error: E) -> Self {
        Self::Reduce(error.into())
    }
}

fn arrow(error: ArrowError) -> ColumnsError {
    // A file that is too short is asked for places that it does not have.
    let too_short = [io::ErrorKind::InvalidInput, io::ErrorKind::UnexpectedEof];
    match error {
        ArrowError::IoError(_, source) if !too_short.contains(&source.kind()) => unavailable(source),
        error @ (ArrowError::IoError(..) | _) => ColumnsError::Malformed(error.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of `map_err`")]
fn parquet(error: ParquetError) -> ColumnsError {
    ColumnsError::Malformed(error.to_string())
}

/// Reduces `input` to `output`, in the format of both; the rows that were written.
pub(super) fn reduce(
    format: Format,
    access: &SectionAccess,
    identity: Identity,
    input: &File,
    output: &mut (impl Write + Send),
) -> Result<(Reduction, u64), ColumnsError> {
    if identity.is_empty() {
        return Err(ReduceError::NoUser.into());
    }
    let source = Source { format, file: input };
    let schema = source.schema()?;
    let reduction = access.check_schema(&schema)?.reduction(identity)?;
    let fields: Vec<usize> =
        reduction.fields().iter().filter_map(|field| schema.index_of(field.column()).ok()).collect();
    let mut survey = reduction.survey();
    if !fields.is_empty() {
        for batch in source.batches(Some(&fields))? {
            survey.observe(&batch?)?;
        }
    }
    let admitted = survey.admit()?;
    let kept: Vec<usize> = reduction.columns().filter_map(|column| schema.index_of(column).ok()).collect();
    let shown: SchemaRef = Arc::new(Schema::new(schema.project(&kept).map_err(arrow)?.fields().clone()));
    let rows = match format {
        Format::Parquet => write_parquet(&source, admitted, &shown, output)?,
        Format::Arrow | Format::Csv => write_arrow(&source, &reduction, admitted, &shown, output)?,
    };
    Ok((reduction, rows))
}

/// A file that is read several times, from its beginning.
struct Source<'f> {
    format: Format,
    file: &'f File,
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ColumnsError>>>;

impl Source<'_> {
    fn open(&self) -> Result<File, ColumnsError> {
        let mut file = self.file.try_clone().map_err(unavailable)?;
        file.rewind().map_err(unavailable)?;
        Ok(file)
    }

    fn schema(&self) -> Result<SchemaRef, ColumnsError> {
        Ok(match self.format {
            Format::Parquet => {
                Arc::clone(ParquetRecordBatchReaderBuilder::try_new(self.open()?).map_err(parquet)?.schema())
            }
            Format::Arrow | Format::Csv => FileReader::try_new_buffered(self.open()?, None).map_err(arrow)?.schema(),
        })
    }

    /// The batches, of all columns or of some.
    fn batches(&self, columns: Option<&[usize]>) -> Result<Batches, ColumnsError> {
        let file = self.open()?;
        if self.format == Format::Parquet {
            let mut builder =
                ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?.with_batch_size(BATCH_ROWS);
            if let Some(columns) = columns {
                let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
                builder = builder.with_projection(mask);
            }
            let batches = builder.build().map_err(parquet)?;
            return Ok(Box::new(batches.map(|batch| batch.map_err(arrow))));
        }
        let batches = FileReader::try_new_buffered(file, columns.map(<[usize]>::to_vec)).map_err(arrow)?;
        Ok(Box::new(batches.map(|batch| batch.map_err(arrow))))
    }
}

fn unavailable(error: io::Error) -> ColumnsError {
    ReduceError::Unavailable(error).into()
}

fn write_parquet(
    source: &Source<'_>,
    admitted: Admitted<'_>,
    shown: &SchemaRef,
    output: &mut (impl Write + Send),
) -> Result<u64, ColumnsError> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(output, Arc::clone(shown), Some(properties)).map_err(parquet)?;
    let mut rows = 0;
    for batch in source.batches(None)? {
        let reduced = admitted.apply(&batch?)?;
        rows += count(&reduced);
        let reduced = RecordBatch::try_new(Arc::clone(shown), reduced.columns().to_vec()).map_err(arrow)?;
        writer.write(&reduced).map_err(parquet)?;
    }
    writer.close().map_err(parquet)?;
    Ok(rows)
}

/// All batches of an Arrow file share their dictionaries, so each dictionary is written once: with its length, and without the
/// texts that only hidden rows have.
fn write_arrow(
    source: &Source<'_>,
    reduction: &Reduction,
    admitted: Admitted<'_>,
    shown: &SchemaRef,
    output: &mut impl Write,
) -> Result<u64, ColumnsError> {
    let dictionaries = dictionaries_of(source, reduction, shown)?;
    let mut writer = FileWriter::try_new(output, shown).map_err(arrow)?;
    let mut rows = 0;
    for batch in source.batches(None)? {
        let batch = batch?;
        let mask = reduction.mask(&batch)?;
        let reduced = admitted.apply(&batch)?;
        rows += count(&reduced);
        let mut columns = Vec::new();
        for (column, (field, dictionary)) in reduced.columns().iter().zip(shown.fields().iter().zip(&dictionaries)) {
            columns.push(match (dictionary, batch.column_by_name(field.name())) {
                (Some(dictionary), Some(whole)) => dictionary.of(&filter(whole, &mask).map_err(arrow)?)?,
                _ => Arc::clone(column),
            });
        }
        writer.write(&RecordBatch::try_new(Arc::clone(shown), columns).map_err(arrow)?).map_err(arrow)?;
    }
    writer.finish().map_err(arrow)?;
    Ok(rows)
}

/// For each column that is shown: its dictionary, if it has one, as the visible rows of all batches need it.
fn dictionaries_of(
    source: &Source<'_>,
    reduction: &Reduction,
    shown: &Schema,
) -> Result<Vec<Option<Shared>>, ColumnsError> {
    let is_dictionary = |data_type: &DataType| matches!(data_type, DataType::Dictionary(..));
    let mut dictionaries: Vec<Option<Shared>> =
        shown.fields().iter().map(|field| is_dictionary(field.data_type()).then(Shared::default)).collect();
    if dictionaries.iter().all(Option::is_none) {
        return Ok(dictionaries);
    }
    for batch in source.batches(None)? {
        let batch = batch?;
        let mask = reduction.mask(&batch)?;
        for (dictionary, field) in dictionaries.iter_mut().zip(shown.fields()) {
            if let (Some(dictionary), Some(column)) = (dictionary, batch.column_by_name(field.name())) {
                dictionary.add(&filter(column, &mask).map_err(arrow)?);
            }
        }
    }
    for dictionary in dictionaries.iter_mut().flatten() {
        dictionary.blank()?;
    }
    Ok(dictionaries)
}

/// One dictionary of all batches.
#[derive(Debug, Default)]
struct Shared {
    used: Vec<bool>,
    values: Option<ArrayRef>,
}

impl Shared {
    /// Notes what the rows of a column use.
    fn add(&mut self, column: &ArrayRef) {
        let Some(column) = column.as_any_dictionary_opt() else { return };
        let values = column.values();
        // A dictionary that grows from batch to batch only gets longer.
        if self.values.as_ref().is_none_or(|longest| longest.len() < values.len()) {
            self.values = Some(Arc::clone(values));
            self.used.resize(values.len(), false);
        }
        if values.is_empty() {
            return;
        }
        for (row, key) in column.normalized_keys().into_iter().enumerate() {
            if let (true, Some(used)) = (column.keys().is_valid(row), self.used.get_mut(key)) {
                *used = true;
            }
        }
    }

    /// Nothing in place of what no visible row uses.
    fn blank(&mut self) -> Result<(), ColumnsError> {
        let Some(values) = &self.values else { return Ok(()) };
        let places = self.used.iter().zip(0_u64..).map(|(used, place)| used.then_some(place));
        self.values = Some(take(values, &places.collect::<UInt64Array>(), None).map_err(arrow)?);
        Ok(())
    }

    /// A column with this dictionary in place of its own.
    fn of(&self, column: &ArrayRef) -> Result<ArrayRef, ColumnsError> {
        match (column.as_any_dictionary_opt(), &self.values) {
            (Some(column), Some(values)) if values.len() >= column.values().len() => {
                Ok(column.with_values(Arc::clone(values)))
            }
            _ => Err(ColumnsError::Malformed("a dictionary changes between batches".to_owned())),
        }
    }
}

fn count(batch: &RecordBatch) -> u64 {
    u64::try_from(batch.num_rows()).unwrap_or(u64::MAX)
}
