//! Every source of faulty cells with every mechanism, in every memory, in every placement: each combination of
//! `docs/combinations.md` runs and changes bits, or is refused for a reason of physics.

mod common;

use std::fmt::Write;

use common::{plan, sweep};
use vmin_diagnostic::Source;
use vmin_protection::mechanisms;
use vmin_sram::{Chip, ErrorRates, Geometry, Run};
use vmin_sweep::{Plan, Results};
use vmin_testkit::mechanism;

/// Sources: the lines of `[memory]` and of `[chips]`.
const SOURCES: [(&str, &str, &str); 6] = [
    ("flip", "fault_kind = \"flip\"", "count = 1\nseed = 3"),
    ("stuck_at", "fault_kind = \"stuck_at\"", "count = 1\nseed = 3"),
    ("read noise", "fault_kind = \"stuck_at\"\nread_noise_mv = 4", "count = 1\nseed = 3"),
    ("measured", "", "files = [\"a.chip\"]"),
    ("measured, inverting", "", "files = [\"inverting.chip\"]"),
    ("transient", "fault_kind = \"transient\"", "count = 1\nseed = 3"),
];

const MEMORIES: [&str; 3] = ["weight", "activation", "accumulator"];

const PLACEMENTS: [&str; 3] = [
    "placement = \"resident\"",
    "placement = \"resident\"\n[placement]\ninterleave = [\"rows\", \"columns\"]\noffset_bits = [64]",
    "placement = \"streamed\"",
];

/// Why a combination is refused, as a part of the message; none if it runs.
fn refused(kind: &str, source: &str, memory: &str) -> Option<&'static str> {
    match (kind, source, memory) {
        (
            "permute_channels" | "invert_rows" | "closest_code" | "compensate",
            _,
            "activation" | "accumulator",
        ) => Some("is not known before they are written"),
        ("narrow_sums" | "sum_guard", _, "weight" | "activation") => Some("holds no partial sums"),
        ("recalibrate", _, "activation" | "accumulator") => Some("biases answer for all memories"),
        ("invert_rows", "flip" | "measured, inverting", _) => Some("needs cells that hold a value"),
        (
            "bank_rail" | "spares" | "strongest_rows" | "permute_channels" | "rotate_bits"
            | "invert_rows" | "closest_code" | "compensate",
            "transient",
            _,
        ) => Some("needs the fault map of a chip"),
        _ => None,
    }
}

/// A chip that was measured at the voltages below and at those of the rails.
fn chip(inverting: bool) -> Chip {
    let geometry = Geometry::new(1, 256, 256).expect("small");
    let levels = [860_000, 840_000];
    let runs = (3..65_536).step_by(101).enumerate().map(|(index, address)| Run {
        address,
        first_level: [0, 1][index % 2],
        last_level: 1,
        rates: match index % 3 {
            _ if inverting => ErrorRates::flip(0.7),
            0 => ErrorRates::flip(0.6),
            1 => ErrorRates::stuck_at_0(1.0),
            _ => ErrorRates::stuck_at_1(0.9),
        },
    });
    Chip::measured(geometry, "a test".into(), String::new(), &levels, runs.collect())
        .expect("a chip")
}

fn text(source: usize, memory: &str, placement: &str, kinds: &[&str]) -> String {
    let (_, of_memory, chips) = SOURCES[source];
    let own = if memory == "weight" { "" } else { "[memory.weight]\nvdd_mv = \"nominal\"\n" };
    let mut text = format!(
        "name = \"combinations\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\n\
         set = \"builtin:shapes\"\nimages = 2\n[accelerator]\nmodel = \"eyeriss-size\"\n{placement}\n\
         [memory]\nprofile = \"sram14\"\nvdd_mv = [840]\n{of_memory}\n{own}[memory.{memory}]\n\
         [chips]\n{chips}\n[[remedy]]\nname = \"nothing\"\n"
    );
    for kind in kinds {
        let mechanism = mechanism(kind, memory);
        let _ = write!(text, "[[remedy]]\nname = \"{kind}\"\nprotection = [{mechanism}]\n");
    }
    text
}

#[test]
fn every_combination_runs_or_is_refused_for_a_reason_of_physics() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, inverting) in [("a.chip", false), ("inverting.chip", true)] {
        let file = vmin_sram::file::write(&chip(inverting));
        std::fs::write(folder.path().join(name), file).expect("written");
    }
    let kinds: Vec<&str> = mechanisms::ALL.iter().map(|(kind, _)| *kind).collect();
    let (mut helped, mut refusals) = (0, 0);
    for (source, (word, ..)) in SOURCES.iter().enumerate() {
        for memory in MEMORIES {
            for placement in PLACEMENTS {
                let cell = format!("{word}, {memory} memory, {placement}");
                let refused = |kind: &&str| refused(kind, word, memory).is_some();
                let (no, yes): (Vec<&str>, Vec<&str>) = kinds.iter().copied().partition(refused);
                for kind in no {
                    let text = text(source, memory, placement, &[kind]);
                    let problems = Plan::read(&Source::new("e.toml", &text), folder.path())
                        .err()
                        .unwrap_or_else(|| panic!("{cell}: `{kind}` was not refused"));
                    let reason = self::refused(kind, word, memory).expect("refused");
                    assert!(problems.to_string().contains(reason), "{cell}: {problems}");
                    refusals += 1;
                }
                let plan = plan(&text(source, memory, placement, &yes), folder.path());
                helped += u32::from(check(&sweep(&plan, 2), memory, &yes, &cell));
            }
        }
    }
    assert!(refusals > 0 && helped > 60, "{refusals} refused, {helped} leave fewer wrong weights");
}

fn inverts(cell: &str) -> bool {
    cell.starts_with("flip") || cell.starts_with("measured, inverting")
}

/// Checks that all remedies of a memory have a price and an effect; how many leave fewer wrong bits of weights.
fn check(results: &Results, memory: &str, kinds: &[&str], cell: &str) -> u8 {
    let [own, nothing, remedies @ ..] = &results.remedies[..] else { panic!("two and more") };
    assert_eq!(remedies.len(), kinds.len());
    // No protection is no remedy, whatever errs and wherever it lies.
    assert_eq!(own.points, nothing.points, "{cell}");
    let point = &results.points[0];
    let flips = match memory {
        "weight" => Some(point.flip_rate),
        "activation" => point.activation_flip_rate,
        _ => point.accumulator_flip_rate,
    };
    assert!(flips > Some(0.0), "{cell}: nothing errs");
    let mut helped = 0;
    for remedy in remedies {
        let (before, after) = (&own.points[0], &remedy.points[0]);
        let free = before.energy_per_inference_nj == after.energy_per_inference_nj;
        // All that it costs is told in a note.
        let at_startup =
            ["permute_channels", "closest_code", "compensate", "narrow_sums", "recalibrate"];
        let at_startup = at_startup.contains(&&remedy.name[..]);
        assert_eq!(free, at_startup, "{cell}: `{}` is free of charge", remedy.name);
        if memory == "weight" {
            let (before, after) = (before.residual_flip_rate, after.residual_flip_rate);
            // Cells that invert make as many wrong bits wherever they lie in a code.
            let moves_errors = ["permute_channels", "rotate_bits"].contains(&&remedy.name[..]) && inverts(cell)
                // Biases answer for wrong weights, which stay.
                || remedy.name == "recalibrate";
            if !moves_errors {
                assert_ne!(before, after, "{cell}: `{}` has no effect", remedy.name);
            }
            helped += u8::from(after < before);
        }
    }
    helped
}
