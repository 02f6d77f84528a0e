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
        // A chip without DRAM has no such table.
        let has = |action: &Action| *action != Action::DramByte || accelerator.dram.is_some();
        for action in Action::ALL.into_iter().filter(has) {
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
    let (read, notes) = ert::import(&accelerator, &source, &BTreeMap::new()).unwrap();
    assert_eq!(read.energy.pj(Action::Mac), 0.208);
    let unknown = "1 components of the table have no meaning here (`--ert-map` gives one): \
                   `system.chip.shared_glb[1..1]`";
    assert_eq!(notes[0], unknown);

    let names = map(&[("shared_glb", "activation_memory")]);
    let (read, notes) = ert::import(&accelerator, &source, &names).unwrap();
    assert_eq!(read.energy.pj(Action::Mac), 0.208);
    assert_eq!(read.energy.pj(Action::ActivationRead), 18.18);
    assert_eq!(read.energy.pj(Action::ActivationWrite), 14.14);
    assert_eq!(read.energy.pj(Action::WeightRead), accelerator.energy.pj(Action::WeightRead));
    assert!((read.leakage_uw_per_pe - 0.2).abs() < 1e-12, "0.001 pJ per cycle at 200 MHz");
    let entry = &read.energy.entries()[Action::ActivationRead as usize];
    assert!(entry.source.contains("ERT.yaml, system.chip.shared_glb"), "{entry:?}");
    assert!(notes[0].contains("2 entries; the dearest counts"), "{notes:?}");
    assert!(notes[1].starts_with("7 energies are not in the table"), "{notes:?}");
    assert_eq!(notes.len(), 2);
}

#[test]
fn all_problems_are_told_at_once() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let text = "ERT:\n  version: 0.4\n  tables:\n  - {name: mac, actions: [{name: mac_gated, energy: 1}]}\n  \
                - {name: DRAM, actions: [{name: read, energy: 512}]}\n  \
                - {name: x.dram, actions: [{name: read, energy: 512}]}\n  \
                - {name: dram, actions: [{name: transfer, energy: -1}]}\n";
    let source = Source::new("ERT.yaml", text);
    let names = map(&[("glb", "activation_memroy"), ("spad", "mac"), ("DRAM", "dram:0")]);
    let refused = ert::import(&accelerator, &source, &names).unwrap_err().to_string();
    for part in [
        "the table has no component `spad`",
        "`DRAM` is mapped to `dram:0`",
        "`x.dram.read` costs 512 pJ, for a number of bits that no table tells",
        "`dram.transfer` costs -1 pJ",
        "did you mean `activation_memory`",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

/// The actions of the public component libraries, with energies that tell them apart.
const PUBLIC: &str = "\
ERT:
  version: '0.3'
  tables:
  - name: sys.DRAM[1..1]
    actions: [{name: read, energy: 512}, {name: write, energy: 448}, {name: update, energy: 9}, {name: leak, energy: 7}]
  - name: sys.PE[0..3].mac
    actions: [{name: mac_random, energy: 2.2}, {name: mac_reused, energy: 1.5}, {name: mac_gated, energy: .1}, {name: idle, energy: 0}]
  - name: sys.glb
    actions: [{name: read, energy: 6}, {name: fill, energy: 5}, {name: update, energy: 4}, {name: metadata_read, energy: 3}]
  - name: sys.psum
    actions: [{name: read, energy: 6}, {name: write, energy: 5}, {name: update, energy: 4}]
  - name: sys.weights_NoC
    actions: [{name: transfer_random, energy: 49}]
";

#[test]
fn public_actions_count_or_are_named() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let source = Source::new("ERT.yaml", PUBLIC);
    let names = map(&[
        ("DRAM", "dram:64"),
        ("glb", "activation_memory"),
        ("psum", "accumulator_memory"),
        ("weights_NoC", "ignore"),
    ]);
    let (read, notes) = ert::import(&accelerator, &source, &names).unwrap();
    for (action, pj) in [
        (Action::DramByte, 64.0),
        (Action::Mac, 2.2),
        (Action::ActivationRead, 6.0),
        (Action::ActivationWrite, 5.0),
        (Action::AccumulatorRead, 6.0),
        (Action::AccumulatorWrite, 4.0),
        (Action::WeightRead, accelerator.energy.pj(Action::WeightRead)),
    ] {
        assert_eq!(read.energy.pj(action), pj, "{action:?}");
    }
    assert_eq!(read.leakage_uw_per_pe, 0.0, "an idle multiplier leaks nothing");
    let [dram, uncounted, kept] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!(
        dram,
        "`sys.DRAM[1..1].read` is dearer than `sys.DRAM[1..1].write` and counts for both"
    );
    assert_eq!(
        uncounted,
        "7 actions of the table are not counted here: `sys.DRAM[1..1].update`, `sys.DRAM[1..1].leak`, \
         `sys.PE[0..3].mac.mac_reused`, `sys.PE[0..3].mac.mac_gated`, `sys.glb.update`, \
         `sys.glb.metadata_read`, `sys.psum.write`"
    );
    assert!(kept.starts_with("4 energies are not in the table and stay those of `gemmini-16`"));
}

#[test]
fn a_table_of_which_nothing_counts_is_refused() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let refused = |names: &BTreeMap<String, String>, text: &str| {
        let source = Source::new("ERT.yaml", text);
        ert::import(&accelerator, &source, names).unwrap_err().to_string()
    };
    let all = ["DRAM", "mac", "glb", "psum", "weights_NoC"].map(|name| (name, "ignore"));
    for (names, text, why) in [
        (map(&[("mac", "mac")]), "ERT: {tables: []}", "it lists no components"),
        (map(&all), PUBLIC, "has an action that is counted here"),
        (map(&[("mac", "ignore")]), PUBLIC, "`sys.DRAM[1..1]`, `sys.glb`"),
    ] {
        let text = refused(&names, text);
        assert!(text.contains("the table changes no energy") && text.contains(why), "{text}");
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
