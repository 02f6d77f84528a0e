//! What a sweep says of other costs of its network: of its supplies, of those above and between them, of other cells.

mod common;

use std::path::Path;

use vmin_accel::{Accelerator, PerMemory};
use vmin_sweep::{Accuracy, Kept, Placement, Plan, Results};

/// Streamed weights on a swept supply, activations on a fixed one, sums nominal.
const EXPERIMENT: &str = "name = \"a\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\nset = \"builtin:shapes\"\n\
    images = 4\n[accelerator]\nmodel = \"eyeriss-size\"\nplacement = \"streamed\"\n[memory]\nprofile = \"sram14\"\n\
    vdd_mv = [950, 900, 850, 840]\n[memory.weight]\n[memory.activation]\nvdd_mv = 900\n[chips]\ncount = 2\nseed = 1\n";

fn swept() -> (Plan, Results) {
    let plan = common::plan(EXPERIMENT, Path::new("."));
    let results = common::sweep(&plan, 2);
    (plan, results)
}

fn read(results: &Results) -> Accuracy {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("results.json"), results.to_json()).expect("written");
    let of_folder = Accuracy::read(folder.path()).expect("a sweep");
    let of_file = Accuracy::read(&folder.path().join("results.json")).expect("a sweep");
    assert_eq!(of_folder.results(), of_file.results());
    of_file
}

#[test]
fn voltages_hold_from_the_lowest_that_does_upwards() {
    let (_, mut results) = swept();
    results.vmin.reached_mv = Some(900.0);
    results.vmin.shown_mv = Some(950.0);
    let accuracy = read(&results);
    for (weight, activation, known, swept) in [
        (1000.0, 1000.0, Kept::Shown, None),
        (950.0, 900.0, Kept::Shown, Some(0)),
        (950.0, 899.0, Kept::Unknown, None),
        (949.0, 900.0, Kept::Reached, None),
        (900.0, 900.0, Kept::Reached, Some(1)),
        (900.0, 950.0, Kept::Reached, None),
        // Between a voltage that holds and one that does not.
        (899.0, 900.0, Kept::Unknown, None),
        (850.0, 900.0, Kept::Missed, Some(2)),
        (845.0, 900.0, Kept::Missed, None),
        (840.0, 900.0, Kept::Missed, Some(3)),
        (800.0, 900.0, Kept::Missed, None),
    ] {
        let (found, point) = accuracy.at(&PerMemory { weight, activation, accumulator: 1000.0 });
        assert_eq!(found, known, "{weight} {activation}");
        assert_eq!(point, swept.map(|index: usize| &accuracy.results().points[index]));
    }
    results.vmin.reached_mv = None;
    results.vmin.shown_mv = None;
    let none = read(&results);
    let highest = PerMemory { weight: 950.0, activation: 900.0, accumulator: 1000.0 };
    assert_eq!(none.at(&highest).0, Kept::Missed);
    assert_eq!(none.at(&highest.map(|mv| mv + 10.0)).0, Kept::Unknown);
}

#[test]
fn only_the_cells_under_the_data_must_be_the_same() {
    let (plan, results) = swept();
    let accuracy = read(&results);
    let graph = &plan.own().graph;
    let lowered = PerMemory { weight: true, activation: true, accumulator: false };
    accuracy.check(graph, &plan.profile, &lowered).expect("the same");
    let mut rounded = (**graph).clone();
    rounded.pixels = None;
    rounded.round_as(vmin_nn::Rounding::Single);
    accuracy.check(&rounded, &plan.profile, &lowered).expect("the same codes");
    let weights_alone = PerMemory { activation: false, ..lowered };
    let refused = accuracy.check(graph, &plan.profile, &weights_alone).expect_err("others");
    assert_eq!(
        refused.to_string(),
        "the sweep lowers weight, activation memory, here weight memory"
    );
    let moved = plan.profile.at_vmin(800.0);
    let refused = accuracy.check(graph, &moved, &lowered).expect_err("another V_min");
    assert_eq!(refused.to_string(), "the sweep's V_min is 1000 mV, here it is 800 mV");

    let text = plan.accelerator.text().to_owned();
    let varied = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is in the file");
        let source = vmin_diagnostic::Source::new("varied.toml", &text.replace(from, to));
        Accelerator::parse(&source).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let check = |accelerator: &Accelerator| {
        accuracy.check_design(graph, accelerator, Placement::Streamed).map_err(|it| it.to_string())
    };
    assert_eq!(check(&plan.accelerator), Ok(()));
    assert_eq!(check(&varied("clock_mhz = 200", "clock_mhz = 100")), Ok(()));
    // The order of streamed weights follows the array.
    let array = check(&varied("columns = 14", "columns = 16")).expect_err("another array");
    assert!(array.contains("the data of its weight memory lie in other cells"), "{array}");
    let resident = accuracy.check_design(graph, &plan.accelerator, Placement::Resident);
    assert!(resident.expect_err("elsewhere").to_string().contains("weights are streamed"));
}

#[test]
fn results_of_other_versions_are_named() {
    let (_, results) = swept();
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |results: &Results| {
        std::fs::write(folder.path().join("results.json"), results.to_json()).expect("written");
        Accuracy::read(folder.path()).expect_err("another version").message
    };
    let old = Results { results_version: 2, subject: None, ..results.clone() };
    assert!(refused(&old).ends_with("of version 2, does not say what its errors belong to"));
    let new = Results { results_version: 5, ..results };
    assert!(refused(&new).ends_with("is of version 5, this program knows 4"));
}
