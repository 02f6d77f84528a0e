//! Layouts of a resident model, seen through whole sweeps.

mod common;

use std::path::Path;

use vmin_sweep::Results;

fn sweep(profile: &str, placement: &str) -> Results {
    let text = format!(
        "name = \"layouts\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\n\
         set = \"builtin:shapes\"\nimages = 60\n[accelerator]\nmodel = \"gemmini-16\"\n{placement}\n\
         [memory]\nprofile = \"{profile}\"\nvdd_mv = [880, 860]\n[chips]\ncount = 3\nseed = 4\n"
    );
    common::sweep(&common::plan(&text, Path::new(".")), 2)
}

#[test]
fn an_explicit_linear_layout_is_the_default() {
    let plain = sweep("sram14", "");
    let linear = sweep(
        "sram14",
        "[placement]\nalign = \"code\"\noffset_bits = [0]\nbit_assignment = \"as_stored\"",
    );
    assert_eq!(plain, linear);
    assert_eq!((plain.setting.layout.as_str(), plain.setting.offsets), ("linear", 1));
}

#[test]
fn every_chip_at_every_offset_is_a_trial_of_its_own() {
    let both = sweep("sram14-columns", "[placement]\noffset_bits = [0, 65536]");
    let first = sweep("sram14-columns", "[placement]\noffset_bits = [0]");
    let second = sweep("sram14-columns", "[placement]\noffset_bits = [65536]");
    assert_eq!(both.chips.len(), 6);
    for chip in 0..3 {
        assert_eq!(both.chips[2 * chip].rerr, first.chips[chip].rerr);
        assert_eq!(both.chips[2 * chip + 1].rerr, second.chips[chip].rerr);
    }
    assert_ne!(first.points[1].flip_rate, second.points[1].flip_rate);
    let mean = 0.5 * (first.points[1].flip_rate + second.points[1].flip_rate);
    assert!((both.points[1].flip_rate - mean).abs() < 1e-12);
}

#[test]
fn interleaving_moves_faults_but_the_rate_stays() {
    let linear = sweep("sram14-columns", "");
    let mixed = sweep("sram14-columns", "[placement]\ninterleave = [\"rows\", \"columns\"]");
    assert_eq!(mixed.setting.layout, "rows and columns interleaved");
    let ratio = mixed.points[1].flip_rate / linear.points[1].flip_rate;
    assert_ne!(ratio, 1.0);
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}

#[test]
fn most_significant_bits_in_reliable_columns_lose_less() {
    let stored = sweep("sram14-columns", "");
    let chosen =
        sweep("sram14-columns", "[placement]\nbit_assignment = \"msb_to_reliable_columns\"");
    assert_eq!(chosen.setting.layout, "linear, most significant bits in reliable columns");
    let (stored, chosen) = (&stored.points[1], &chosen.points[1]);
    assert!(chosen.rerr_mean < stored.rerr_mean, "{} {}", chosen.rerr_mean, stored.rerr_mean);
}

#[test]
fn layers_lie_where_they_are_told() {
    // Where each layer ends if they follow one another.
    let graph = vmin_nn::model::load("builtin:shapes-cnn").expect("built in");
    let mut ends = vec![0];
    for weights in &graph.weights {
        let last = ends[ends.len() - 1];
        ends.push(last + weights.codes.len() as u64 * u64::from(weights.bits));
    }
    ends.pop();
    let at = |shift: &dyn Fn(usize) -> u64| {
        let bits: Vec<String> =
            ends.iter().enumerate().map(|(layer, end)| (end + shift(layer)).to_string()).collect();
        sweep("sram14-columns", &format!("[placement]\nlayer_first_bits = [{}]", bits.join(", ")))
    };
    let linear = sweep("sram14-columns", "");
    let told = at(&|_| 0);
    assert_eq!((&told.points, &told.chips), (&linear.points, &linear.chips));
    let same = told.provenance.plan_sha256 == linear.provenance.plan_sha256;
    assert!(same, "the same places, however they are told");
    let moved = sweep("sram14-columns", "[placement]\noffset_bits = [65536]");
    assert_eq!(at(&|_| 65_536).points, moved.points);
    let spread = at(&|layer| layer as u64 * 4_096);
    assert_eq!(spread.setting.layout, "linear, every layer at its own place");
    assert_ne!(spread.points[1].flip_rate, linear.points[1].flip_rate);
}
