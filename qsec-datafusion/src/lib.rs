//! Section access in DataFusion: a table that shows each user their own rows and columns, whatever SQL they ask it.
//!
//! A [`ReducedTable`] stands before any `TableProvider`. The reduction is applied to every batch that the table gives, by the
//! code of [`qsec_authz::section`] itself, below everything that the user asks: filters and limits are not handed down to the
//! table, statistics are not handed up, and no optimisation sees inside. Columns that are left out are not in the schema.
//!
//! It does **not** decide strict exclusion, for which all of the data is needed: an excluded user sees no row. It does not
//! guard a context in which the table itself is registered, or that two users share. It keeps the reduction that it was made
//! with: where access tables have versions, make another one when the reader must open again
//! ([`qsec_authz::section::MAX_READER_AGE`]). The memory and the time that a user's own SQL takes are DataFusion's to bound.
//!
//! ```
//! use std::sync::Arc;
//! use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
//! use datafusion::arrow::record_batch::RecordBatch;
//! use datafusion::prelude::SessionContext;
//! use qsec_authz::section::{Identity, SectionAccess};
//! use qsec_datafusion::ReducedTable;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let region: ArrayRef = Arc::new(StringArray::from(vec!["NORTH", "SOUTH"]));
//! let sales: ArrayRef = Arc::new(Int64Array::from(vec![10, 20]));
//! let batch = RecordBatch::try_from_iter([("region", region), ("sales", sales)])?;
//! let data = SessionContext::new().read_batch(batch)?.into_view();
//!
//! let access = SectionAccess::parse(["ACCESS,USERID,REGION,OMIT\nUSER,ANA,NORTH,SALES\n"])?;
//! let access = access.check_schema(&data.schema())?;
//! let mine = ReducedTable::new(data, &access.reduction(Identity::user("ana"))?)?;
//!
//! let context = SessionContext::new(); // of this user alone
//! context.register_table("sales", Arc::new(mine))?;
//! let rows = context.sql("SELECT * FROM sales WHERE region <> 'x' OR true").await?.collect().await?;
//! assert_eq!((rows[0].num_rows(), rows[0].num_columns()), (1, 1));
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::as_conversions,
        clippy::todo,
        clippy::unreachable,
        clippy::print_stdout
    )
)]

mod scan;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use qsec_authz::section::Reduction;
use thiserror::Error;

use scan::ReducedScan;

/// Why a table cannot be reduced.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReduceTableError {
    /// The columns are not those that the access tables were checked against.
    #[error("the columns of the table are not those that were checked")]
    SchemaChanged,
}

impl ReduceTableError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SchemaChanged => "schema_changed",
        }
    }
}

/// A table as one user may see it.
///
/// See the [front page](crate) for an example.
#[derive(Debug)]
pub struct ReducedTable {
    inner: Arc<dyn TableProvider>,
    reduction: Arc<Reduction>,
    /// The columns of `inner` that the user may see, by their places there.
    kept: Vec<usize>,
    /// The columns of `inner` that decide.
    fields: Vec<usize>,
    schema: SchemaRef,
}

impl ReducedTable {
    /// A table, reduced.
    ///
    /// # Errors
    /// [`ReduceTableError::SchemaChanged`] if the table's columns are not those that the access tables were checked against.
    pub fn new(inner: Arc<dyn TableProvider>, reduction: &Reduction) -> Result<Self, ReduceTableError> {
        let all = inner.schema();
        let changed = |_| ReduceTableError::SchemaChanged;
        let hidden = |name: &str| reduction.omitted().iter().any(|omitted| *omitted == name.to_uppercase());
        let kept =
            reduction.columns().map(|name| all.index_of(name)).collect::<Result<Vec<_>, _>>().map_err(changed)?;
        let fields = reduction.fields().iter().map(|field| all.index_of(field.column()));
        let fields = fields.collect::<Result<Vec<_>, _>>().map_err(changed)?;
        // A column that came later may be one that an OMIT was meant for.
        let known = |(place, name): (usize, &str)| kept.contains(&place) || hidden(name);
        if !all.fields().iter().map(|field| field.name().as_str()).enumerate().all(known) {
            return Err(ReduceTableError::SchemaChanged);
        }
        // Without metadata: it can name columns, and say what is in them.
        let shown = all.project(&kept).map_err(|_| ReduceTableError::SchemaChanged)?;
        let schema = Arc::new(Schema::new(shown.fields().clone()));
        Ok(Self { inner, reduction: Arc::new(reduction.clone()), kept, fields, schema })
    }
}

#[async_trait]
impl TableProvider for ReducedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        // Not what the inner table is: a view's plan would be put in the place of this.
        TableType::Base
    }

    /// Reads what the user asks for and what decides. The table is told neither the filters (their evaluation on hidden rows could
    /// fail aloud, or take time) nor the limit (it counts hidden rows).
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let shown: Vec<usize> = match projection {
            Some(places) => places.iter().filter_map(|&place| self.kept.get(place).copied()).collect(),
            None => self.kept.clone(),
        };
        let schema = match projection {
            Some(places) => Arc::new(self.schema.project(places)?),
            None => self.schema(),
        };
        let mut read = shown.clone();
        read.extend(self.fields.iter().filter(|field| !shown.contains(field)));
        let input = self.inner.scan(state, Some(&read), &[], None).await?;
        Ok(Arc::new(ReducedScan::new(input, Arc::clone(&self.reduction), schema)))
    }
}
