//! Measured chips and transient errors, seen through whole sweeps, against slow and obvious twins.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{plan, sweep};
use vmin_emulator::{Emulator, Images, LOAD};
use vmin_sram::{Chip, ChipKey, ErrorRates, Geometry, Run};
use vmin_sweep::{Plan, chip_file};

/// Levels of the chips below, in microvolts.
const LEVELS_UV: [u32; 3] = [900_000, 880_000, 860_000];
/// Where the model begins in their maps.
const OFFSETS: [u64; 2] = [0, 1_000];

/// A map of 4096 cells: every 31st cell fails from level to level more, each in its way.
fn chip(first: u64, probability: f32) -> Chip {
    let geometry = Geometry::new(1, 64, 64).expect("small");
    let runs = (first..4096).step_by(31).enumerate().map(|(index, address)| Run {
        address,
        first_level: [0, 1, 2, 2][index % 4],
        last_level: 2,
        rates: match index % 3 {
            0 => ErrorRates::flip(probability),
            1 => ErrorRates::stuck_at_0(probability),
            _ => ErrorRates::stuck_at_1(probability),
        },
    });
    Chip::measured(geometry, "a test".into(), String::new(), &LEVELS_UV, runs.collect())
        .expect("a chip")
}

/// The text of an experiment; `images` test images from the seventh on.
fn text(memory: &str, chips: &str, images: usize) -> String {
    format!(
        "name = \"chips\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\n\
         set = \"builtin:shapes\"\nfirst = 7\nimages = {images}\n[accelerator]\nmodel = \"gemmini-16\"\n\
         [placement]\noffset_bits = [0, 1000]\n[memory]\nprofile = \"sram14\"\n{memory}\n[chips]\n{chips}\n"
    )
}

/// A folder with two chips of certain cells and one of cells that err with a probability of 0.4.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, chip) in [("a", chip(3, 1.0)), ("b", chip(17, 1.0)), ("c", chip(3, 0.4))] {
        let bytes = vmin_sram::file::write(&chip);
        std::fs::write(folder.path().join(format!("{name}.chip")), bytes).expect("written");
    }
    folder
}

/// Codes with every stored bit looked up on its own: `wrong` says whether a value at an address is
/// read wrongly. Also how many bits changed.
fn codes(plan: &Plan, wrong: impl Fn(u64, bool) -> bool) -> (Vec<Vec<u8>>, u64) {
    let placement = plan.own().placement.weights.resident().expect("a resident model");
    let mut flips = 0;
    let read = plan.own().graph.weights.iter().zip(&placement.tensors).map(|(weights, placed)| {
        let bits = u64::from(weights.bits);
        let code = |(index, &code): (u64, &u8)| {
            (0..bits).fold(code, |read, bit| {
                let flips_here = wrong(placed.first_bit + index * bits + bit, code >> bit & 1 == 1);
                flips += u64::from(flips_here);
                read ^ u8::from(flips_here) << bit
            })
        };
        (0u64..).zip(&weights.codes).map(code).collect()
    });
    (read.collect(), flips)
}

/// Test error of those codes on all images of the plan.
fn error(plan: &Plan, codes: &[Vec<u8>]) -> f64 {
    let emulator = Emulator::new(&plan.own().graph, plan.images(), vmin_kernels::best()).unwrap();
    let predictions = emulator.predict(codes, &AtomicBool::new(false)).unwrap();
    let wrong = |(prediction, label): (&usize, &u8)| *prediction != usize::from(*label);
    let count = predictions.iter().zip(plan.labels()).filter(|&pair| wrong(pair)).count();
    count as f64 / plan.labels().len() as f64
}

#[test]
fn every_file_at_every_offset_gives_back_what_was_measured() {
    let folder = folder();
    let text = text("", "files = [\"a.chip\", \"b.chip\"]", 40);
    let plan = plan(&text, folder.path());
    let results = sweep(&plan, 2);
    assert_eq!(results.setting.fault_kind, "measured");
    let voltages: Vec<f64> = results.points.iter().map(|point| point.vdd_mv).collect();
    assert_eq!(voltages, [900.0, 880.0, 860.0], "those that were measured");
    assert_eq!(results.chips.len(), 4);
    let chips = [chip(3, 1.0), chip(17, 1.0)];
    for (level, point) in results.points.iter().enumerate() {
        let mut flips_of_all = 0;
        for (trial, summary) in results.chips.iter().enumerate() {
            let (chip, offset) = (&chips[trial / 2], OFFSETS[trial % 2]);
            let (codes, flips) = codes(&plan, |address, one| {
                let rates = chip.probability(level, (address + offset) % 4096);
                rates.is_some_and(|rates| if one { rates.p10 } else { rates.p01 } == 1.0)
            });
            flips_of_all += flips;
            assert_eq!(summary.rerr[level], error(&plan, &codes), "level {level}, trial {trial}");
        }
        assert!(flips_of_all > 500, "{flips_of_all} bits changed at level {level}");
        let bits = results.setting.stored_bits as f64 * 4.0;
        assert_eq!(point.flip_rate, flips_of_all as f64 / bits);
        let cells = chips.iter().map(|chip| chip.cell_errors(level).len() as f64 / 4096.0);
        assert_eq!(point.cell_fault_rate, cells.sum::<f64>() / 2.0);
    }
    let roles: Vec<_> = results.provenance.inputs.iter().map(|input| input.role.as_str()).collect();
    assert_eq!(roles[4..], ["chip", "chip"]);
    assert_eq!(results, sweep(&plan, 1));
}

#[test]
fn one_kind_for_all_cells_if_it_is_asked_for() {
    let folder = folder();
    let text = text("fault_kind = \"flip\"\nvdd_mv = [860]", "files = [\"c.chip\"]", 20);
    let plan = plan(&text, folder.path());
    let results = sweep(&plan, 2);
    for (trial, summary) in results.chips.iter().enumerate() {
        let cells = drawn(&plan, trial, LOAD);
        let (codes, _) = codes(&plan, |address, _| cells.contains_key(&address));
        assert_eq!(summary.rerr, [error(&plan, &codes)]);
    }
    assert_eq!(results.points[0].flip_rate, results.points[0].cell_fault_rate_realised);
}

/// What keys the draws of the plan's only chip file: the first 16 digits of its digest.
fn of_file(plan: &Plan) -> u64 {
    let file = plan.inputs.iter().find(|input| input.role == "chip").expect("a chip");
    u64::from_str_radix(&file.sha256[..16], 16).expect("hexadecimal")
}

/// What keys the draws at an offset.
fn at_offset(offset: usize) -> u64 {
    OFFSETS[offset].wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Cells of chip `c` that err in one read of a trial: (address in memory, value they give).
fn drawn(plan: &Plan, trial: usize, read: u64) -> BTreeMap<u64, Option<bool>> {
    let key = ChipKey { seed: 1, chip: of_file(plan) ^ at_offset(trial), memory: 0 };
    let map = chip(3, 0.4).cell_errors(2);
    let cells = plan.own().placement.weights.geometry().cells();
    let errors = vmin_sram::tile_errors(&map, 4096, cells, OFFSETS[trial]).expect("small");
    let drawn = vmin_sram::draw_faults(&errors, key, read);
    let inverting = drawn.inverting.iter().map(|cell| (cell.address, None));
    inverting.chain(drawn.stuck.iter().map(|cell| (cell.address, Some(cell.preferred)))).collect()
}

fn reads_wrongly(cells: &BTreeMap<u64, Option<bool>>, address: u64, one: bool) -> bool {
    cells.get(&address).is_some_and(|value| value.is_none_or(|preferred| preferred != one))
}

#[test]
fn uncertain_cells_are_drawn_once_per_chip_and_offset() {
    let folder = folder();
    let plan = plan(&text("vdd_mv = [860]", "files = [\"c.chip\"]", 20), folder.path());
    let results = sweep(&plan, 2);
    for (trial, summary) in results.chips.iter().enumerate() {
        let cells = drawn(&plan, trial, LOAD);
        let (codes, _) = codes(&plan, |address, one| reads_wrongly(&cells, address, one));
        assert_eq!(summary.rerr, [error(&plan, &codes)]);
    }
    let point = &results.points[0];
    let share = point.cell_fault_rate_realised / point.cell_fault_rate;
    assert!((0.75..1.25).contains(&share), "{share} times as many cells err as are expected");
}

/// Test error where every image has its own codes, one image after another.
fn error_one_by_one(plan: &Plan, codes: impl Fn(usize) -> Vec<Vec<u8>>) -> f64 {
    let images = plan.images();
    let size = images.pixels.len() / images.labels.len();
    let right = (0..images.labels.len()).filter(|&index| {
        let one = Images {
            pixels: &images.pixels[index * size..][..size],
            labels: &images.labels[index..=index],
        };
        let emulator = Emulator::new(&plan.own().graph, one, vmin_kernels::best()).unwrap();
        let predictions = emulator.predict(&codes(index), &AtomicBool::new(false)).unwrap();
        predictions == [usize::from(one.labels[0])]
    });
    (images.labels.len() - right.count()) as f64 / images.labels.len() as f64
}

#[test]
fn transient_errors_of_a_population_are_new_for_every_image() {
    let memory = "fault_kind = \"transient\"\nvdd_mv = [880, 840]";
    let plan = plan(&text(memory, "count = 2\nseed = 9", 12), Path::new("."));
    let results = sweep(&plan, 2);
    for (point, of_point) in results.points.iter().enumerate() {
        for (trial, summary) in results.chips.iter().enumerate() {
            let (chip, offset) = (trial as u64 / 2, at_offset(trial % 2));
            let key = ChipKey { seed: 9, chip: chip ^ offset, memory: 0 };
            let slow = error_one_by_one(&plan, |index| {
                let flip = |(layer, weights): (u32, &vmin_nn::WeightTensor)| {
                    let mut codes = weights.codes.clone();
                    let rate = of_point.cell_fault_rate;
                    // Image numbers are those of the whole set.
                    let image = 7 + index as u64;
                    vmin_sram::flip_at_random(&mut codes, weights.bits, rate, key, image, layer);
                    codes
                };
                (0..).zip(&plan.own().graph.weights).map(flip).collect()
            });
            assert_eq!(summary.rerr[point], slow, "point {point}, trial {trial}");
        }
        let ratio = of_point.flip_rate / of_point.cell_fault_rate;
        assert!((0.8..1.25).contains(&ratio), "{ratio} times the rate at {}", of_point.vdd_mv);
    }
    assert_eq!(results, sweep(&plan, 1));
}

/// An array that reads a weight several times for one image has one draw for all of them, and says so.
#[test]
fn reads_that_share_a_draw_are_told() {
    let memory = "fault_kind = \"transient\"\nvdd_mv = [880]";
    for (accelerator, words) in [
        ("gemmini-16", "for every image and layer, in which a weight is read once; chips"),
        // Output stationary: once for every 32 of 16 x 16 output pixels.
        ("lowvolt-14nm", "energies count up to 8 reads of a weight: drawn at each"),
    ] {
        let text = text(memory, "count = 1\nseed = 9", 1).replace("gemmini-16", accelerator);
        let notes = plan(&text, Path::new(".")).notes;
        let note = notes.iter().find(|note| note.starts_with("transient errors")).expect("a note");
        assert!(note.contains(words), "{note}");
    }
}

#[test]
fn transient_errors_of_a_measured_chip_are_drawn_by_its_own_cells() {
    let folder = folder();
    let memory = "fault_kind = \"transient\"\nvdd_mv = [860]";
    let plan = plan(&text(memory, "files = [\"c.chip\"]", 6), folder.path());
    let results = sweep(&plan, 2);
    for (trial, summary) in results.chips.iter().enumerate() {
        let slow = error_one_by_one(&plan, |index| {
            let cells = drawn(&plan, trial, 7 + index as u64);
            codes(&plan, |address, one| reads_wrongly(&cells, address, one)).0
        });
        assert_eq!(summary.rerr, [slow]);
    }
}

#[test]
fn a_plan_knows_its_chips_by_content_and_not_by_comments() {
    let folder = folder();
    let text = text("", "files = [\"a.chip\"]", 20);
    let digest = |text: &str| plan(text, folder.path()).digest;
    let first = digest(&text);
    assert_eq!(first, digest(&format!("# a comment\n\n{text}")));
    assert_ne!(first, digest(&text.replace("a.chip", "b.chip")));
    std::fs::rename(folder.path().join("a.chip"), folder.path().join("d.chip")).expect("renamed");
    assert_eq!(first, digest(&text.replace("a.chip", "d.chip")));
    std::fs::rename(folder.path().join("b.chip"), folder.path().join("a.chip")).expect("renamed");
    assert_ne!(first, digest(&text));
}

#[test]
fn comments_and_places_do_not_enter_the_digest_of_remedies() {
    let text = "name = \"r\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\n\
                set = \"builtin:shapes\"\nimages = 20\n[accelerator]\nmodel = \"gemmini-16\"\n[memory]\n\
                profile = \"sram14\"\nvdd_mv = [880, 860]\n[chips]\ncount = 1\nseed = 1\n\
                [[remedy]]\nname = \"all\"\nprotection = [{ kind = \"boost\", raise_mv = 20 }, \
                { kind = \"layer_rail\", layers = [1, 2], vdd_mv = 900 }]\nvdd_mv = [870]\n";
    let digest = |text: &str| plan(text, Path::new(".")).digest;
    let first = digest(text);
    assert_eq!(first, digest(&format!("# a comment\n\n{text}")));
    assert_eq!(first, digest(&text.replace("[[remedy]]", "# more\n\n[[remedy]]  # still more")));
    assert_ne!(first, digest(&text.replace("raise_mv = 20", "raise_mv = 21")));
    assert_ne!(first, digest(&text.replace("vdd_mv = [870]", "vdd_mv = [871]")));
}

#[test]
fn a_sampled_chip_in_a_file_is_the_chip_of_the_population() {
    let folder = tempfile::tempdir().expect("a folder");
    let drawn = plan(&text("vdd_mv = [860]", "count = 1\nseed = 5", 30), Path::new("."));
    let key = ChipKey { seed: 5, chip: 0, memory: 0 };
    let floor = drawn.profile.threshold(860.0);
    let population = drawn.profile.population();
    let chip = Chip::sample(population, key, drawn.own().placement.weights.geometry(), floor)
        .expect("small");
    let level = vmin_sram::VddLevel { vdd_uv: chip_file::microvolts(860.0), threshold: floor };
    let chip = chip.with_levels(vec![level]).expect("one level");
    let bytes = vmin_sram::file::write(&chip);
    std::fs::write(folder.path().join("s.chip"), bytes).expect("written");
    let of_file = plan(&text("vdd_mv = [860]", "files = [\"s.chip\"]", 30), folder.path());
    let (drawn, of_file) = (sweep(&drawn, 2), sweep(&of_file, 2));
    assert_eq!(drawn.chips, of_file.chips);
    assert_eq!(drawn.points[0].flip_rate, of_file.points[0].flip_rate);
}

#[test]
fn the_memories_lie_one_behind_the_other_in_a_measured_map() {
    use vmin_accel::placement::{ActivationPlacement, SumPlacement};
    use vmin_emulator::{ActivationFaults, BufferFaults, SumFaults};
    use vmin_sram::{FaultKind, FaultyCell, Score};
    let folder = folder();
    let tables = "[memory.activation]\nvdd_mv = 880\n[memory.accumulator]\nbiases = false\n";
    let text = text("", "files = [\"a.chip\", \"b.chip\"]", 10);
    let plan = plan(&text.replace("[chips]", &format!("{tables}[chips]")), folder.path());
    let results = sweep(&plan, 2);
    assert_eq!(results, sweep(&plan, 1), "threads");
    let memories = &plan.accelerator.memories;
    let weights = plan.own().placement.weights.geometry().cells();
    let activations = memories.activation.geometry.cells();
    let emulator =
        Emulator::new(&plan.own().graph, plan.images(), vmin_kernels::best()).expect("it fits");
    let of_tensors = ActivationPlacement::new(memories.activation.geometry, &plan.own().graph);
    let of_sums = SumPlacement::new(&plan.accelerator, &plan.own().graph).expect("32-bit sums");
    let chips = [chip(3, 1.0), chip(17, 1.0)];
    for (level, point) in results.points.iter().enumerate() {
        let (mut in_tensors, mut in_sums) = (0, 0);
        for (trial, summary) in results.chips.iter().enumerate() {
            let (chip, offset) = (&chips[trial / 2], OFFSETS[trial % 2]);
            // Cells of a memory that begins there in the map: those that invert, those that hold.
            let cells = |first: u64, count: u64, level: usize| {
                let mut parts = [Vec::new(), Vec::new()];
                for address in 0..count {
                    let Some(rates) = chip.probability(level, (address + first + offset) % 4096)
                    else {
                        continue;
                    };
                    let preferred = rates.p01 == 1.0;
                    let cell = FaultyCell { address, score: Score(0), preferred };
                    parts[usize::from(rates.p01 != rates.p10)].push(cell);
                }
                parts
            };
            let (codes, _) = codes(&plan, |address, one| {
                let rates = chip.probability(level, (address + offset) % 4096);
                rates.is_some_and(|rates| if one { rates.p10 } else { rates.p01 } == 1.0)
            });
            let kinds = [FaultKind::Flip, FaultKind::StuckAt];
            // Level 1 is 880 mV.
            let parts = cells(weights, activations, 1);
            let parts = [(&parts[0][..], kinds[0]), (&parts[1][..], kinds[1])];
            let tensors = ActivationFaults::of_parts(&of_tensors, &parts, None);
            let parts = cells(weights + activations, of_sums.geometry.cells(), level);
            let parts = [(&parts[0][..], kinds[0]), (&parts[1][..], kinds[1])];
            let sums = SumFaults::of_parts(&of_sums, &parts, false);
            let faults = BufferFaults { activations: Some(&tensors), sums: Some(&sums) };
            let stop = AtomicBool::new(false);
            let (predictions, applied) =
                emulator.predict_through(&codes, faults, &stop).expect("not stopped");
            let right = |(class, label): (&usize, &u8)| *class == usize::from(*label);
            let correct = predictions.iter().zip(plan.labels()).filter(|&p| right(p)).count();
            let error = (plan.labels().len() as f64 - correct as f64) / plan.labels().len() as f64;
            assert_eq!(summary.rerr[level], error, "level {level}, trial {trial}");
            in_tensors += applied.activation.bits_flipped;
            in_sums += applied.accumulator.bits_flipped;
        }
        let images = plan.labels().len() as f64 * 4.0;
        let rate = |flips: u64, bits: Option<u64>| {
            Some(flips as f64 / (bits.expect("it errs") as f64 * images))
        };
        let setting = &results.setting;
        assert_eq!(point.activation_flip_rate, rate(in_tensors, setting.activation_bits));
        assert_eq!(point.accumulator_flip_rate, rate(in_sums, setting.accumulator_bits_read));
        assert!(in_tensors > 0 && in_sums > 0, "no errors, no test");
    }
}
