//! The worked cases of section access, `tests/data/section-access.json`: each is run through the table in memory, through
//! the stream, and (with the feature `arrow`) through a record batch, which must all give what the case expects.

use std::io::Cursor;

use qsec_authz::section::{
    DataCase, EmptyRows, Exclusion, Identity, NullRows, Options, ReduceError, SectionAccess, Table, reduce_csv,
};
use serde::Deserialize;

use crate::harness;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "policies")]
    _policies: serde::de::IgnoredAny,
    cases: Vec<Reduce>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reduce {
    name: String,
    #[serde(rename = "source")]
    _source: String,
    command: String,
    access: Vec<String>,
    data: String,
    args: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    exit: u8,
    code: Option<String>,
    output: Option<String>,
}

/// One test for each case.
pub(crate) fn cases() -> Vec<harness::Case> {
    let file: File = serde_json::from_str(include_str!("../data/section-access.json")).expect("the case file");
    let case = |reduce: Reduce| harness::Case {
        name: format!("section-access: {}", reduce.name),
        run: Box::new(move || reduce.run()),
    };
    file.cases.into_iter().map(case).collect()
}

impl Reduce {
    fn run(&self) -> Result<(), String> {
        if self.command != "reduce" {
            return Err(format!("`{}` is no command of section access", self.command));
        }
        let (options, identity) = arguments(&self.args);
        self.compare("stream", &self.stream(options.clone(), &identity))?;
        self.compare("table", &self.table(options.clone(), &identity))?;
        #[cfg(feature = "arrow")]
        self.compare("batch", &self.batch(options, &identity))?;
        Ok(())
    }

    fn stream(&self, options: Options, identity: &Identity) -> Result<String, ReduceError> {
        let mut output = Vec::new();
        reduce_csv(&self.access, options, identity, Cursor::new(&self.data), &mut output)?;
        Ok(String::from_utf8(output).expect("UTF-8"))
    }

    fn table(&self, options: Options, identity: &Identity) -> Result<String, ReduceError> {
        let data = Table::parse_csv(&self.data).map_err(ReduceError::BadData)?;
        let access = SectionAccess::parse_with(&self.access, options)?.check_columns(data.columns())?;
        Ok(access.reduction(identity)?.apply(&data)?.to_csv())
    }

    #[cfg(feature = "arrow")]
    fn batch(&self, options: Options, identity: &Identity) -> Result<String, ReduceError> {
        use arrow_array::cast::AsArray;
        use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};

        let null = self.args.iter().position(|arg| arg == "--null").map(|at| self.args[at + 1].as_str());
        let data = Table::parse_csv(&self.data).map_err(ReduceError::BadData)?;
        let column = |column: usize| {
            let cell = |row| data.cell(row, column).filter(|cell| Some(*cell) != null);
            let texts: StringArray = (0..data.rows()).map(cell).collect();
            std::sync::Arc::new(texts) as ArrayRef
        };
        let columns = data.columns().enumerate().map(|(index, name)| (name, column(index), true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
        let access = SectionAccess::parse_with(&self.access, options)?.check_schema(&batch.schema())?;
        let mine = access.reduction(identity)?.apply(&batch)?;
        let names: Vec<&str> = mine.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        let mut text = names.join(",") + "\n";
        for row in 0..mine.num_rows() {
            let cells = mine.columns().iter().map(AsArray::as_string::<i32>);
            let cells = cells.map(|cells| if cells.is_null(row) { null.unwrap_or("") } else { cells.value(row) });
            text += &(cells.collect::<Vec<_>>().join(",") + "\n");
        }
        Ok(text)
    }

    fn compare(&self, way: &str, outcome: &Result<String, ReduceError>) -> Result<(), String> {
        let expected = (self.expect.exit, self.expect.code.as_deref(), self.expect.output.as_deref());
        let (exit, code, output) = match outcome {
            Ok(output) => (0, None, Some(output.as_str())),
            Err(error) => (if error.refusal().is_some() { 1 } else { 2 }, Some(error.code()), None),
        };
        if (exit, code, output) == expected {
            Ok(())
        } else {
            Err(format!("{way}: expected {expected:?}\n{way}: found    {:?}", (exit, code, output)))
        }
    }
}

/// The options of the command line that cases use.
fn arguments(arguments: &[String]) -> (Options, Identity) {
    let (mut options, mut identity) = (Options::new(), Identity::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("an option's value").as_str();
        match argument.as_str() {
            "--user" => identity = identity.id(value()),
            "--email" => identity = identity.email(value()),
            "--name" => identity = identity.name(value()),
            "--ntname" => identity = identity.ntname(value()),
            "--group" => identity = identity.group(value()),
            "--null" => options = options.null_text(value()),
            "--null-rows" => options = options.null_rows(show(value(), NullRows::Show, NullRows::Hide)),
            "--empty-rows" => options = options.empty_rows(show(value(), EmptyRows::Show, EmptyRows::Hide)),
            "--fold-data" => options = options.data_case(DataCase::Upper),
            "--no-strict" => options = options.exclusion(Exclusion::NoRows),
            unknown => panic!("`{unknown}` is no option of reduce"),
        }
    }
    (options, identity)
}

fn show<T>(word: &str, show: T, hide: T) -> T {
    match word {
        "show" => show,
        "hide" => hide,
        unknown => panic!("`{unknown}` is neither show nor hide"),
    }
}
