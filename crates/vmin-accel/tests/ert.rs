//! Accelergy's energy reference tables: there and back, foreign names, hostile text.

use std::collections::BTreeMap;

use vmin_accel::Accelerator;
use vmin_accel::energy::{Action, ert};
use vmin_diagnostic::Source;

/// A table of an Eyeriss-like architecture in the form Accelergy writes.
const FOREIGN: &str = "\
ERT:
  version: '0.4'
  tables:
  - name: system.chip.PE[0..167].mac
    actions:
    - name: compute
      arguments: {}
      energy: 0.208
    - {name: leak, arguments: {global_cycle_seconds: 1.0e-9}, energy: 0.001}
  - name: system.chip.shared_glb[1..1]
    actions:
    - name: read
      arguments: {address_delta: 0, data_delta: 0}
      energy: 1.5
    - name: read
      arguments: {address_delta: 1, data_delta: 1}
      energy: 18.18
    - name: write
      energy: 14.14
";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect()
}

#[test]
fn what_is_exported_is_imported_again() {
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        let text = ert::export(&accelerator);
        // Into another accelerator's place, so that nothing is left by accident.
        let mut blank = accelerator.clone();
        for action in Action::ALL {
            blank.energy.set(action, 1234.5, "a test");
        }
        blank.leakage_uw_per_pe = 99.0;
        blank.memories.weight.leakage_uw_per_kib = 99.0;
        let source = Source::new("ert.yaml", &text);
        let (back, notes) = ert::import(&blank, &source, &BTreeMap::new())
            .unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(notes, Vec::<String>::new());
        for action in Action::ALL {
            assert_eq!(back.energy.pj(action), accelerator.energy.pj(action), "{name} {action:?}");
        }
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} {b}");
        close(back.leakage_uw_per_pe, accelerator.leakage_uw_per_pe);
        close(
            back.memories.weight.leakage_uw_per_kib,
            accelerator.memories.weight.leakage_uw_per_kib,
        );
        assert_eq!(ert::export(&back), text);
    }
}

#[test]
fn a_foreign_table_needs_names_and_the_dearest_entry_counts() {
    let accelerator = Accelerator::load("eyeriss-size").unwrap();
    let source = Source::new("ERT.yaml", FOREIGN);
    let refused = ert::import(&accelerator, &source, &BTreeMap::new()).unwrap_err().to_string();
    assert!(refused.contains("`system.chip.shared_glb[1..1]` is not known here"), "{refused}");
    assert!(refused.contains("--ert-map shared_glb=COMPONENT"), "{refused}");

    let names = map(&[("shared_glb", "activation_memory")]);
    let (read, notes) = ert::import(&accelerator, &source, &names).unwrap();
    assert_eq!(read.energy.pj(Action::Mac), 0.208);
    assert_eq!(read.energy.pj(Action::ActivationRead), 18.18);
    assert_eq!(read.energy.pj(Action::ActivationWrite), 14.14);
    assert_eq!(read.energy.pj(Action::WeightRead), accelerator.energy.pj(Action::WeightRead));
    assert!((read.leakage_uw_per_pe - 0.2).abs() < 1e-12, "0.001 pJ per cycle at 200 MHz");
    let entry = &read.energy.entries()[Action::ActivationRead as usize];
    assert!(entry.source.contains("ERT.yaml, system.chip.shared_glb"), "{entry:?}");
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("2 entries; the dearest counts"), "{notes:?}");
}

#[test]
fn all_problems_are_told_at_once() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let text = "ERT:\n  version: 0.4\n  tables:\n  - {name: mac, actions: [{name: mac_gated, energy: 1}]}\n  \
                - {name: noc, actions: [{name: transfer, energy: 1}]}\n  \
                - {name: dram, actions: [{name: transfer, energy: -1}]}\n";
    let source = Source::new("ERT.yaml", text);
    let names = map(&[("glb", "activation_memroy")]);
    let refused = ert::import(&accelerator, &source, &names).unwrap_err().to_string();
    for part in [
        "`mac.mac_gated` is not counted",
        "`noc` is not known here",
        "`dram.transfer` costs -1 pJ",
        "did you mean `activation_memory`",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

#[test]
fn two_components_for_one_number_must_agree() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let text = "ERT:\n  tables:\n  - {name: a.mac, actions: [{name: compute, energy: 1}]}\n  \
                - {name: b.mac, actions: [{name: compute, energy: 2}]}\n";
    let source = Source::new("ERT.yaml", text);
    let refused = ert::import(&accelerator, &source, &BTreeMap::new()).unwrap_err().to_string();
    assert!(refused.contains("different energies for the same action"), "{refused}");
}

#[test]
fn mutated_tables_never_panic() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let seeds = [FOREIGN.to_owned(), ert::export(&accelerator)];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let pieces = [
        "&a", "*a", "- - -", "{", "[[[[", "!!binary", "1e999", ".nan", ": :", "\t", "\u{feff}",
        "<<: *a",
    ];
    let mut accepted = 0;
    for round in 0..3000 {
        let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..=next(4) {
            let at = next(text.len());
            match next(4) {
                0 => text.truncate(at),
                1 => {
                    let piece = pieces[next(pieces.len())];
                    text.splice(at..at, piece.chars());
                }
                2 => {
                    text.drain(at..text.len().min(at + 1 + next(20)));
                }
                _ => {
                    let end = text.len().min(at + next(60));
                    let copy: Vec<char> = text[at..end].to_vec();
                    text.splice(at..at, copy);
                }
            }
        }
        let text: String = text.into_iter().collect();
        let source = Source::new("ERT.yaml", &text);
        let names = map(&[("shared_glb", "activation_memory")]);
        accepted += usize::from(ert::import(&accelerator, &source, &names).is_ok());
    }
    assert!((1..3000).contains(&accepted), "some mutations are harmless, most are not: {accepted}");
}

#[test]
fn areas_are_exported_in_square_micrometres() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let text = ert::export_area(&accelerator);
    assert!(text.starts_with("ART:"), "{text}");
    for component in ["array", "vector", "weight_memory", "activation_memory", "accumulator_memory"]
    {
        assert!(text.contains(&format!("gemmini-16.{component}")), "{text}");
    }
}
