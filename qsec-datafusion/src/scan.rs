//! Batches of a table, reduced one by one.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use qsec_authz::section::Reduction;

/// Everything that this leaves at its default is a refusal: no filter and no projection is pushed through, no statistics are known.
#[derive(Debug)]
pub(crate) struct ReducedScan {
    input: Arc<dyn ExecutionPlan>,
    reduction: Arc<Reduction>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl ReducedScan {
    /// `schema` is some of the columns of `input`; the others decide and are not asked for.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, reduction: Arc<Reduction>, schema: SchemaRef) -> Self {
        let of = input.properties();
        let properties = PlanProperties::new(
            // Orders and constants of the input are known by values that may be hidden.
            EquivalenceProperties::new(Arc::clone(&schema)),
            datafusion::physical_plan::Partitioning::UnknownPartitioning(of.partitioning.partition_count()),
            of.emission_type,
            of.boundedness,
        );
        Self { input, reduction, schema, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ReducedScan {
    /// A plan is for the user's eyes: it does not say by what they are reduced.
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReducedScan")
    }
}

impl ExecutionPlan for ReducedScan {
    fn name(&self) -> &'static str {
        "ReducedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// None: what is below is not the user's, to look at or to change.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        if children.is_empty() {
            Ok(self)
        } else {
            Err(DataFusionError::Internal("a reduced table has no children".to_owned()))
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        if children.is_empty() {
            Ok(self)
        } else {
            Err(DataFusionError::Internal("a reduced table has no children".to_owned()))
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let input = self.input.execute(partition, context)?;
        let (reduction, schema) = (Arc::clone(&self.reduction), Arc::clone(&self.schema));
        let reduced = input.map(move |batch| reduce(&batch?, &reduction, &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), reduced)))
    }
}

fn reduce(batch: &RecordBatch, reduction: &Reduction, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    // A cast is evaluated on every value of a dictionary, and its error quotes one: hidden values must not be there.
    let visible = reduction.visible(batch).map_err(|error| DataFusionError::External(Box::new(error)))?;
    let rows = RecordBatchOptions::new().with_row_count(Some(visible.num_rows()));
    // By name: a table that gives its columns in another order, or all of them, must not pass one off as another.
    let column = |name: &String| visible.column_by_name(name).cloned().ok_or_else(|| missing(name));
    let columns = schema.fields().iter().map(|field| column(field.name())).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)?)
}

fn missing(name: &str) -> DataFusionError {
    DataFusionError::Execution(format!("the table gave no column `{name}`"))
}
