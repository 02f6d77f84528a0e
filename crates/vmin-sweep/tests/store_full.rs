//! A store whose disk is full ends the sweep and takes nothing from its journal.

mod common;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use common::{Silent, plan};
use vmin_sweep::store::Store;
use vmin_sweep::{Journal, Log, RunError, run_sharing};

const EXPERIMENT: &str = "name = \"small\"
network = { model = \"builtin:shapes-cnn\" }
data = { set = \"builtin:shapes\", images = 20 }
accelerator = { model = \"gemmini-16\" }
memory = { profile = \"sram14\", vdd_mv = [850, 800] }
chips = { count = 12, seed = 7 }
";

/// A disk with room for so many bytes, and none again once it is full.
struct SmallDisk(Arc<Mutex<usize>>);

impl Log for SmallDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut room = self.0.lock().expect("no panic");
        match room.checked_sub(bytes.len()) {
            Some(left) => *room = left,
            None => {
                *room = 0;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_store_ends_the_sweep_and_its_journal_goes_on() {
    let plan = plan(EXPERIMENT, Path::new("."));
    let expected = common::sweep(&plan, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let (kernel, stop) = (vmin_kernels::best(), AtomicBool::new(false));
    let mut before = 0;
    for records in [0, 2, 4] {
        let room = Arc::new(Mutex::new(records * 450));
        let store = Store::over(&folder.path().join("none"), move || {
            Ok(Box::new(SmallDisk(Arc::clone(&room))) as Box<dyn Log>)
        });
        let store = store.expect("empty");
        let (mut journal, done) =
            Journal::open(&path, &plan.journal_of(), plan.records_total(), true)
                .expect("a journal");
        assert!(done.len() >= before, "{} records, {before} before", done.len());
        let known = plan.sorted(&done).expect("its records");
        let ended = run_sharing(&plan, &mut journal, Some(&store), &known, kernel, &stop, &Silent);
        let error = ended.map(|_| ()).expect_err("full");
        assert!(matches!(error, RunError::Store(_)), "{error}");
        assert!(error.to_string().contains("cannot write to the store `"), "{error}");
        // All that the store took is in the journal, and the record that did not fit.
        before = done.len() + store.len() + 1;
    }
    let (mut journal, done) =
        Journal::open(&path, &plan.journal_of(), plan.records_total(), true).expect("a journal");
    assert!(done.len() >= before);
    let known = plan.sorted(&done).expect("its records");
    let store = Store::open(&folder.path().join("store")).expect("empty");
    let results = run_sharing(&plan, &mut journal, Some(&store), &known, kernel, &stop, &Silent);
    assert_eq!(results.expect("room"), expected);
    assert_eq!(store.len() as u64, plan.records_total() - done.len() as u64);
}
