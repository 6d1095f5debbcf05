//! The same figures as columns: a Parquet file in, a Parquet file out.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use qsec::authz::section::{Reduction, Table};

use crate::story::Story;
use crate::{Done, Readers};

/// Rows that are in memory at a time: the file is larger.
const PART_ROWS: usize = 200;

pub(crate) fn tell(story: &mut Story, figures: &Table, readers: &Readers, folder: &Path, now: SystemTime) -> Done {
    story.chapter("Parquet in, Parquet out, a batch at a time");
    let whole = folder.join("figures.parquet");
    write(&whole, &[batch(figures)?])?;
    for (user, reader) in readers {
        let (reduction, file) = (reader.reduction(now)?, folder.join(format!("{user}.parquet")));
        reduce(reduction, &whole, &file)?;
        let (mine, expected) = (read(&file)?, batch(&reduction.apply(figures)?)?);
        let same = mine.columns() == expected.columns() && names(&mine) == names(&expected);
        story.holds(
            &format!("{user} sees the rows and columns of the CSV"),
            same,
            format!("{} rows", mine.num_rows()),
        )?;
    }
    let (all, hers) = (fs::read(&whole)?, fs::read(folder.join("ana.parquet"))?);
    let told = ["ASIA", "Afghanistan", "GdpPerCapita"].iter().all(|text| holds(&all, text) && !holds(&hers, text));
    story.holds(
        "no byte of ana's file tells of what is hidden",
        told,
        "dictionaries and statistics hold hers alone",
    )?;
    Ok(())
}

/// Who is excluded is decided by the whole file, so it is read twice.
fn reduce(reduction: &Reduction, from: &Path, to: &Path) -> Done {
    let mut survey = reduction.survey();
    for part in parts(from, PART_ROWS)? {
        survey.observe(&part?)?;
    }
    let admitted = survey.admit()?;
    let reduced = parts(from, PART_ROWS)?.map(|part| Ok(admitted.apply(&part?)?)).collect::<Done<Vec<_>>>()?;
    write(to, &reduced)
}

fn parts(path: &Path, rows: usize) -> Done<ParquetRecordBatchReader> {
    Ok(ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(rows).build()?)
}

fn read(path: &Path) -> Done<RecordBatch> {
    Ok(parts(path, usize::from(u16::MAX))?.next().ok_or("an empty file")??)
}

fn write(path: &Path, batches: &[RecordBatch]) -> Done {
    let first = batches.first().ok_or("nothing to write")?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, first.schema(), None)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.close()?;
    Ok(())
}

/// A table with columns of types. What reduces rows is text: here a dictionary, for there are few continents.
fn batch(table: &Table) -> Done<RecordBatch> {
    let columns = table.columns().enumerate().map(|(column, name)| {
        let cells = || (0..table.rows()).filter_map(|row| table.cell(row, column));
        let array: ArrayRef = match name {
            "Continent" => Arc::new(cells().collect::<DictionaryArray<Int32Type>>()),
            "Country" => Arc::new(cells().map(Some).collect::<StringArray>()),
            "Year" => Arc::new(cells().map(|cell| cell.parse().ok()).collect::<Int32Array>()),
            "Population" => Arc::new(cells().map(|cell| cell.parse().ok()).collect::<Int64Array>()),
            _ => Arc::new(cells().map(|cell| cell.parse().ok()).collect::<Float64Array>()),
        };
        (name, array)
    });
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
