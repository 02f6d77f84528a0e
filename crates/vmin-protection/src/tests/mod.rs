//! Mechanisms against slow, obvious twins.

mod closed_forms;
mod codes;
mod costs;
mod rails_and_spares;
mod reading;
mod store;

use vmin_sram::{Fault, FaultKind, FaultyCell};

/// Cells that all err in one way.
fn faults(cells: &[FaultyCell], kind: FaultKind) -> Vec<Fault> {
    let of =
        |cell: &FaultyCell| Fault { address: cell.address, effect: kind.effect(cell.preferred) };
    cells.iter().map(of).collect()
}

/// Each kind's own example is whole; a misspelt word has that of the kind that is meant.
#[test]
fn the_example_of_each_mechanism_is_one_of_its_kind() {
    use vmin_diagnostic::{Document, Source};
    for (kind, _) in crate::mechanisms::ALL {
        let source = Source::new("example", &crate::mechanisms::example(kind));
        let document = Document::parse_inline(&source).expect("TOML");
        let entry = crate::read_entry(document.root());
        document.finish().unwrap_or_else(|problems| panic!("{kind}: {problems:?}"));
        let (memory, mechanism) = entry.expect("no problem");
        assert_eq!((mechanism.kind(), mechanism.refused_in(memory)), (kind, None));
    }
    assert!(crate::mechanisms::example("strongest_row").contains("\"strongest_rows\""));
    assert!(crate::mechanisms::example("").contains("\"closest_code\""));
}
