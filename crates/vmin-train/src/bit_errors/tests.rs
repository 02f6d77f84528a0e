#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_sram::{CellErrors, ErrorRates, FaultyCell, Score};

use super::{
    Adversary, BitErrors, ChipErrors, ChipPopulation, ErrorMap, Fade, FaultKindChoice, Measured,
    Pattern, StartRule, Streaming, flip,
};
use crate::codec::{Encoded, encode};
use crate::network::Network;
use crate::random::{Purpose, Stream};
use crate::{LayerSpec, Recipe, SchemeFormula, WeightQuantization, WeightScheme};

fn tensors(bits: u8, count: usize) -> Vec<Encoded> {
    let mut stream = Stream::new(1, Purpose::Initialization, 0);
    let values: Vec<f32> = (0..count).map(|_| stream.normal() as f32).collect();
    let quantization = WeightQuantization {
        scheme: WeightScheme::Rquant,
        formula: SchemeFormula::Paper,
        ..WeightQuantization::deployable(bits)
    };
    let (first, second) = values.split_at(count / 3);
    encode(quantization, &[first, second]).expect("finite weights")
}

/// Of 20,000 weights.
fn network() -> Network {
    Network::build(&[LayerSpec::FullyConnected { features: 100 }], [10, 10, 2], 1).expect("fits")
}

fn errors_of(pattern: Pattern) -> BitErrors {
    BitErrors { rate: Some(0.02), pattern, ..BitErrors::default() }
}

/// Bits that differ, and whether all lie below `bits`.
fn difference(left: &[Encoded], right: &[Encoded], bits: u8) -> u64 {
    let pairs = left.iter().zip(right).flat_map(|(a, b)| a.codes.iter().zip(&b.codes));
    let mut count = 0;
    for (a, b) in pairs {
        let changed = a ^ b;
        assert!(bits == 8 || changed >> bits == 0, "bits above the width stay");
        count += u64::from(changed.count_ones());
    }
    count
}

#[test]
fn as_many_bits_flip_as_the_rate_says_in_every_place() {
    for bits in [2, 3, 4, 8] {
        let clean = tensors(bits, 60_000);
        for rate in [0.001, 0.02, 0.5] {
            let mut hit = clean.clone();
            let mut stream = Stream::new(7, Purpose::BitErrors, usize::from(bits));
            let flips = flip(&mut hit, bits, rate, &mut stream);
            assert_eq!(difference(&clean, &hit, bits), flips, "each flip is another bit");
            let expected = 60_000.0 * f64::from(bits) * rate;
            let deviation = (expected * (1.0 - rate)).sqrt();
            assert!((flips as f64 - expected).abs() < 5.0 * deviation, "{bits} {rate} {flips}");
            // No place of a code is favoured, and both tensors are hit.
            for bit in 0..bits {
                let at_bit = |tensor: usize| {
                    let pairs = clean[tensor].codes.iter().zip(&hit[tensor].codes);
                    pairs.filter(|(a, b)| (*a ^ *b) >> bit & 1 == 1).count() as f64
                };
                for (tensor, size) in [(0, 20_000.0), (1, 40_000.0)] {
                    let off = (at_bit(tensor) - size * rate).abs();
                    assert!(off < 5.0 * (size * rate).sqrt(), "{bits} {rate} {bit} {tensor}");
                }
            }
        }
        let mut none = clean.clone();
        let mut stream = Stream::new(7, Purpose::BitErrors, 0);
        assert_eq!(flip(&mut none, bits, 0.0, &mut stream), 0);
        assert_eq!(none, clean);
    }
}

#[test]
fn noise_is_0_577_of_the_range_times_the_root_of_the_rate() {
    // E[dw^2] = p step^2 (4^m - 1) / 3 for offset binary: to first order p range^2 / 3.
    let rate = 0.001;
    let clean = tensors(8, 300_000);
    let mut hit = clean.clone();
    flip(&mut hit, 8, rate, &mut Stream::new(3, Purpose::BitErrors, 0));
    for (clean, hit) in clean.iter().zip(&hit) {
        let (before, after) = (clean.decode(), hit.decode());
        let pairs = before.iter().zip(&after);
        let square: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let rms = (square / before.len() as f64).sqrt();
        let range = 254.0 * f64::from(clean.scale);
        let expected = 0.577 * range * rate.sqrt();
        assert!((rms / expected - 1.0).abs() < 0.1, "{rms} {expected}");
    }
}

#[test]
fn a_fixed_chip_repeats_itself_and_a_population_does_not() {
    let clean = tensors(4, 20_000);
    let at = |pattern, step, rate| {
        let chips = ChipErrors::new(&errors_of(pattern), 5, &network(), 4, &[]).expect("chips");
        let mut hit = clean.clone();
        let flips = chips.expect("of chips").apply(&mut hit, 4, rate, step).expect("applied");
        assert_eq!(flips, difference(&clean, &hit, 4));
        hit
    };
    let chip = at(Pattern::Fixed, 0, 0.02);
    assert_eq!(chip, at(Pattern::Fixed, 9, 0.02));
    assert_eq!(chip, at(Pattern::Population, 0, 0.02), "the first chip of the population");
    assert_ne!(chip, at(Pattern::Population, 1, 0.02));
    // Half the rate: a part of the same cells.
    let half = at(Pattern::Fixed, 0, 0.01);
    let (few, all) = (difference(&clean, &half, 4), difference(&clean, &chip, 4));
    assert!(few > 0 && few < all);
    assert_eq!(difference(&half, &chip, 4), all - few, "maps nest");
    assert!(
        ChipErrors::new(&errors_of(Pattern::Random), 5, &network(), 4, &[])
            .expect("none")
            .is_none()
    );
}

#[test]
fn closest_codes_are_the_nearest_that_the_cells_can_hold() {
    for bits in [3, 8] {
        let clean = tensors(bits, 3_000);
        let read = |closest_codes, tensors: &[Encoded]| {
            let fault_kind = FaultKindChoice::StuckAt;
            let errors = BitErrors { closest_codes, fault_kind, ..errors_of(Pattern::Fixed) };
            let chips = ChipErrors::new(&errors, 5, &network(), bits, &[]).expect("chips");
            let mut hit = tensors.to_vec();
            chips.expect("of chips").apply(&mut hit, bits, 0.1, 0).expect("applied");
            hit
        };
        let all = u8::MAX >> (8 - bits);
        // Whatever is stored: a code that reads as itself is one that the cells can hold.
        let held: Vec<Vec<Encoded>> = (0..=all)
            .map(|code| {
                let mut stored = clean.clone();
                stored.iter_mut().for_each(|tensor| tensor.codes.fill(code));
                read(false, &stored)
            })
            .collect();
        let mut moved = 0;
        for (tensor, written) in read(true, &clean).iter().enumerate() {
            for (index, &code) in written.codes.iter().enumerate() {
                let wanted = clean[tensor].codes[index];
                let error = |code: u8| {
                    let reals = &clean[tensor].reals;
                    (reals[usize::from(code)] - reals[usize::from(wanted)]).abs()
                };
                let fits = (0..=all).filter(|&c| held[usize::from(c)][tensor].codes[index] == c);
                let least = fits.map(error).fold(f32::INFINITY, f32::min);
                assert!(held[usize::from(code)][tensor].codes[index] == code, "it can be held");
                assert!(error(code) <= least, "{bits}: {wanted} {code}");
                moved += usize::from(code != wanted);
            }
        }
        assert!(moved > 100, "{moved}");
    }
}

#[test]
fn stuck_cells_change_what_differs_and_columns_cluster() {
    let clean = tensors(8, 20_000);
    let flips = |kind, column| {
        let population = ChipPopulation { column, rows: 128, columns: 64, ..Default::default() };
        let errors = BitErrors { fault_kind: kind, population, ..errors_of(Pattern::Population) };
        let chips =
            ChipErrors::new(&errors, 5, &network(), 8, &[]).expect("chips").expect("of chips");
        let mut hit = clean.clone();
        let count = chips.apply(&mut hit, 8, 0.02, 0).expect("applied");
        // Per bank of 128 x 64 cells: columns of different banks have nothing in common.
        let mut columns = vec![0_u64; (8 * 20_000_usize).div_ceil(128 * 64) * 64];
        let bytes = |tensors: &[Encoded]| -> Vec<u8> {
            tensors.iter().flat_map(|tensor| tensor.codes.clone()).collect()
        };
        for (index, (a, b)) in bytes(&clean).iter().zip(&bytes(&hit)).enumerate() {
            for bit in 0..8 {
                let cell = 8 * index + bit;
                columns[cell / (128 * 64) * 64 + cell % 64] += u64::from((a ^ b) >> bit & 1);
            }
        }
        (count, columns.into_iter().max().unwrap_or(0))
    };
    let (all, evenly) = flips(FaultKindChoice::Flip, 0.0);
    let (differing, _) = flips(FaultKindChoice::StuckAt, 0.0);
    let share = differing as f64 / all as f64;
    assert!((share - 0.5).abs() < 0.1, "half of the bits differ: {share}");
    let (_, clustered) = flips(FaultKindChoice::Flip, 0.5);
    assert!(clustered > 2 * evenly, "{clustered} {evenly}");
}

/// How a bit is read, looked up on its own.
fn read(
    stored: bool,
    address: u64,
    errors: &[CellErrors],
    map_cells: u64,
    offset: u64,
) -> [bool; 2] {
    let cell = (address + offset) % map_cells;
    let Some(error) = errors.iter().find(|error| error.cell.address == cell) else {
        return [stored; 2];
    };
    let ErrorRates { p01, p10 } = error.rates;
    let wrong = if stored { p10 } else { p01 };
    // What it may be read as: the same twice where that is sure.
    [stored ^ (wrong >= 1.0), stored ^ (wrong > 0.0)]
}

#[test]
fn measured_cells_err_as_they_did() {
    let clean = tensors(4, 3_000);
    let stored = |tensors: &[Encoded]| -> Vec<bool> {
        let codes = tensors.iter().flat_map(|tensor| &tensor.codes);
        codes.flat_map(|code| (0..4).map(move |bit| code >> bit & 1 == 1)).collect()
    };
    let cell = |address: u64, rates: ErrorRates| CellErrors {
        cell: FaultyCell { address, score: Score(0), preferred: rates.preferred() },
        rates,
    };
    let errors = vec![
        cell(3, ErrorRates::flip(1.0)),
        cell(40, ErrorRates::stuck_at_0(1.0)),
        cell(41, ErrorRates::stuck_at_1(1.0)),
        cell(96, ErrorRates::flip(0.5)),
        cell(97, ErrorRates { p01: 0.3, p10: 1.0 }),
        cell(100, ErrorRates::stuck_at_1(0.3)),
    ];
    let map = ErrorMap { errors: errors.clone(), cells: 101, sha256: String::new() };
    let at = |pattern, offset_bits, persistent_only, step| {
        let files = vec!["a.chip".to_owned()];
        let measured = Measured { files, vdd_mv: 500.0, offset_bits, persistent_only };
        let wanted = BitErrors { rate: None, measured: Some(measured), ..errors_of(pattern) };
        let maps = [map.clone()];
        let chips = ChipErrors::new(&wanted, 5, &network(), 4, &maps).expect("chips");
        let mut hit = clean.clone();
        let changed = chips.expect("of chips").apply(&mut hit, 4, 0.0, step).expect("applied");
        assert_eq!(changed, difference(&clean, &hit, 4));
        stored(&hit)
    };
    let bits = stored(&clean);
    for offset in [0, 1, 97, 230] {
        let mut uncertain = [0; 2];
        let steps = [0, 1, 2].map(|step| at(Pattern::Fixed, offset, false, step));
        let sure = at(Pattern::Fixed, offset, true, 0);
        for (address, &bit) in bits.iter().enumerate() {
            let may = read(bit, address as u64, &errors, 101, offset);
            for (step, hit) in steps.iter().enumerate() {
                assert!(may.contains(&hit[address]), "{offset} {step} {address}");
                if may[0] != may[1] && step < 2 {
                    uncertain[step] += u32::from(hit[address] == may[1]);
                }
            }
            assert_eq!(sure[address], may[0], "{offset} {address}");
        }
        assert_ne!(steps[0], steps[1], "what is uncertain is drawn anew");
        assert_eq!(steps[0], at(Pattern::Fixed, offset, false, 0));
        // About 119 copies of one cell at one half, as many of two others at 0.3 where 0 is stored.
        assert!(uncertain.iter().all(|count| (60..=135).contains(count)), "{uncertain:?}");
    }
    // Every step lies elsewhere on the map.
    let moved: Vec<_> = (0..4).map(|step| at(Pattern::Population, 0, true, step)).collect();
    for (step, hit) in moved.iter().enumerate() {
        let fits = |offset: u64| {
            let pairs = bits.iter().zip(hit).enumerate();
            pairs
                .into_iter()
                .all(|(a, (&bit, &hit))| hit == read(bit, a as u64, &errors, 101, offset)[0])
        };
        assert_eq!((0..101).filter(|&offset| fits(offset)).count(), 1, "{step}");
    }
    assert!(moved.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn what_means_nothing_beside_measured_chips_is_refused() {
    let problems = |errors: &str| -> Vec<String> {
        let offset = if errors.ends_with('\n') { "offset_bits = 4" } else { "" };
        let text = format!(
            "name = \"x\"\nseed = 1\nepochs = 1\nbatch_size = 1\nschedule = \"cosine\"\n\
             network = [\"relu\"]\nquantization = {{ bits = 8 }}\n\
             input = {{ zero_pixel = 0, scale = 1.0 }}\n[bit_errors]\n{errors}\n\
             [bit_errors.measured]\nfiles = [\"a\", \"b\"]\nvdd_mv = 500\n{offset}"
        );
        let refused = Recipe::from_toml(&text).err().map(Diagnostics::into_list);
        let field = |problem: Diagnostic| problem.message.split('`').nth(1).map(str::to_owned);
        refused.unwrap_or_default().into_iter().filter_map(field).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(problems("pattern = 'population'"), none);
    assert_eq!(problems("pattern = 'population'\ncurricular = true\ninputs_rate = 0.1"), none);
    assert_eq!(problems("pattern = 'population'\npopulation = { rows = 64 }"), none);
    assert_eq!(problems("pattern = 'fixed'"), ["bit_errors.measured.files"]);
    assert_eq!(problems(""), ["bit_errors.pattern"]);
    for (line, field) in [
        ("rate = 0.1", "bit_errors.rate"),
        ("activations_rate = 0.7", "bit_errors.activations_rate"),
        ("fault_kind = 'stuck_at'", "bit_errors.fault_kind"),
        ("chip = 3", "bit_errors.chip"),
        ("curricular = true", "bit_errors.curricular"),
        ("population = { column = 0.2 }", "bit_errors.population"),
        ("", "bit_errors.measured.offset_bits"),
    ] {
        let found = problems(&format!("pattern = 'population'\n{line}"));
        assert_eq!(found, [field], "{line}");
    }
}

#[test]
fn streamed_weights_meet_the_cells_that_the_deployed_network_will_meet() {
    use vmin_accel::{ArraySize, Dataflow, StreamedPlacement};
    use vmin_nn::data::{Split, shapes};
    use vmin_sram::{Chip, ChipKey, FaultKind, Geometry, Population, Threshold, VarianceShares};
    let data = shapes::generate(shapes::SEED, Split::Train, 64);
    let text = "name = \"streamed\"\nseed = 1\nepochs = 1\nbatch_size = 32\nschedule = \"cosine\"\n\
                quantization = { bits = 8 }\nnetwork = [{ conv2d = { channels = 6, kernel = 3, stride = 4 } }, \
                \"relu\", { conv2d = { channels = 10, kernel = 3 } }, \"relu\", { fully_connected = { \
                features = 10 } }]\n[input]\nzero_pixel = 128\nscale = 0.02\n";
    let recipe = crate::Recipe::from_toml(text).expect("a recipe");
    let trained = crate::train(&recipe, &data, &data, |_| std::ops::ControlFlow::Continue(()));
    let trained = trained.expect("trains");
    let graph = trained.lower(&data).expect("lowers");
    let clean: Vec<Encoded> = graph
        .weights
        .iter()
        .map(|w| Encoded {
            codes: w.codes.clone(),
            reals: [0.0; 256],
            scale: w.scales[0],
            zero_point: w.zero_points[0],
            encoding: w.encoding,
        })
        .collect();
    let geometry = Geometry::new(2, 16, 64).expect("small");
    let array = ArraySize::new(4, 4).expect("small");
    for &(_, dataflow) in Dataflow::ALL {
        let streamed = Some(Streaming { banks: 2, array: [4, 4], dataflow });
        let population = ChipPopulation { rows: 16, columns: 64, streamed, ..Default::default() };
        let errors = BitErrors { population, chip_seed: Some(9), ..errors_of(Pattern::Population) };
        let chips = ChipErrors::new(&errors, 5, &trained.network, 8, &[]).expect("chips");
        let mut hit = clean.clone();
        let flips = chips.expect("of chips").apply(&mut hit, 8, 0.02, 3).expect("applied");
        assert!(flips > 20, "{flips}");
        // The same chip under the graph that was deployed.
        let placed = StreamedPlacement::in_memory(geometry, array, dataflow, &graph);
        let placed = placed.expect("it fits");
        assert!(placed.loads() > 5, "the memory is small");
        let threshold = Threshold::from_rate(0.02).expect("a rate");
        let key = ChipKey { seed: 9, chip: 3, memory: 0 };
        let cells = Population::new(
            "training",
            VarianceShares::with_cell_as_rest(0.0, 0.0, 0.0, 0.0).expect("shares"),
            0.5,
        )
        .expect("a population");
        let chip = Chip::sample(&cells, key, geometry, threshold).expect("small");
        let mut codes: Vec<Vec<u8>> = clean.iter().map(|tensor| tensor.codes.clone()).collect();
        let applied = placed
            .apply(chip.cells(), FaultKind::Flip, codes.iter_mut().map(Vec::as_mut_slice))
            .expect("the codes that were placed");
        assert_eq!(applied.bits_flipped, flips);
        assert!(hit.iter().zip(&codes).all(|(hit, codes)| hit.codes == *codes));
    }
}

#[test]
fn the_start_rule_is_asked_after_every_batch() {
    let mut rule = StartRule { loss: 1.75, active: false };
    for (clean, perturbed, active) in [
        (2.3, None, false),
        // While inactive the loss under errors counts as 0.
        (2.0, None, true),
        (2.02, None, false),
        (1.0, Some(2.4), true),
        (1.0, Some(2.6), false),
        (1.0, None, true),
    ] {
        rule.observe(clean, perturbed);
        assert_eq!(rule.active, active, "{clean} {perturbed:?}");
    }
}

#[test]
fn the_curriculum_ends_at_half_of_the_epochs() {
    let plain = errors_of(Pattern::Random);
    let rising = BitErrors { curricular: true, ..plain.clone() };
    let adversary = Adversary { flips: 50, steps: 1, images: None, momentum: 0.0, one_tensor: 0.0 };
    let flips = |of: &BitErrors, step: usize| {
        let of = BitErrors { adversary: Some(adversary), ..of.clone() };
        of.adversary_in(step, 1000, 1.0).expect("one").flips
    };
    let fade = Fade { full: 0.25, rho: 2.0 };
    assert_eq!([0, 5, 10, 40].map(|wrong| fade.share(wrong, 40)), [1.0, 0.25, 0.0, 0.0]);
    let varied = BitErrors { varied: true, ..plain.clone() };
    let parts: Vec<f64> = (0..400).map(|step| varied.part(1, step)).collect();
    assert!((parts.iter().sum::<f64>() / 400.0 - 0.5).abs() < 0.05 && plain.part(1, 3) == 1.0);
    assert_eq!(flips(&plain, 0), 50);
    assert_eq!([0, 24, 25, 474, 475, 999].map(|step| flips(&rising, step)), [3, 3, 5, 48, 50, 50]);
    assert!((plain.rate_in(0, 100) - 0.02).abs() < 1e-12);
    for (epoch, twentieths) in [(0, 1.0), (2, 1.0), (3, 2.0), (5, 3.0), (48, 20.0), (99, 20.0)] {
        let expected = 0.02 * twentieths / 20.0;
        assert!((rising.rate_in(epoch, 100) - expected).abs() < 1e-12, "{epoch}");
    }
}
