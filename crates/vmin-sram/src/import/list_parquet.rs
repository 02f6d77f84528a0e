//! Lists of faulty cells as Parquet. Not built in yet.
use super::{ImportProblem, Importer};
impl Importer {
    pub(super) fn add_list_parquet(&mut self, _bytes: &[u8]) -> Result<(), ImportProblem> {
        Err(ImportProblem::Unrecognised)
    }
}
