//! The emulator against slow, obvious execution of the codes a chip gives back.

use std::sync::atomic::AtomicBool;

use vmin_accel::placement::WeightPlacement;
use vmin_accel::{Accelerator, ResidentPlacement, VoltageProfile};
use vmin_emulator::{
    Deployment, Emulator, EmulatorError, Images, Placement, ProtectedError, corrupt,
};
use vmin_nn::data::{Dataset, Limits, Split};
use vmin_nn::{Graph, exec};
use vmin_protection::Protection;
use vmin_sram::{ApplyError, Chip, ChipKey, FaultKind};

const IMAGES: usize = 12;

struct Setting {
    graph: Graph,
    data: Dataset,
    placement: ResidentPlacement,
    chip: Chip,
}

/// The built-in network with `bits` per weight on a chip at 833 mV.
fn setting(bits: u8) -> Setting {
    let graph = vmin_nn::model::load("builtin:shapes-cnn").expect("built in");
    let graph = vmin_nn::with_weight_bits(&graph, bits).expect("2 to 8 bits");
    let data = vmin_nn::data::load("builtin:shapes", Split::Test, Limits::default())
        .and_then(|data| data.subset(0..IMAGES))
        .expect("built in");
    let accelerator = Accelerator::load("gemmini-16").expect("shipped");
    let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let placement = ResidentPlacement::new(&accelerator, sizes).expect("it fits");
    let profile = VoltageProfile::load("sram14").expect("shipped");
    let key = ChipKey { seed: 5, chip: 1, memory: 0 };
    let floor = profile.threshold(833.0);
    let chip = Chip::sample(profile.population(), key, placement.geometry, floor).expect("small");
    Setting { graph, data, placement, chip }
}

/// The codes of a chip, bit by bit over the whole memory.
fn corrupted_slowly(setting: &Setting, kind: FaultKind) -> (Vec<Vec<u8>>, u64, u64) {
    let cells = usize::try_from(setting.placement.geometry.cells()).expect("small");
    let mut memory = vec![None; cells];
    let mut codes: Vec<Vec<u8>> =
        setting.graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let mut next = 0;
    for weights in &setting.graph.weights {
        for code in &weights.codes {
            for bit in 0..weights.bits {
                memory[next] = Some((code >> bit) & 1 == 1);
                next += 1;
            }
        }
    }
    let (mut hit, mut flipped) = (0, 0);
    for cell in setting.chip.cells() {
        let stored = &mut memory[usize::try_from(cell.address).expect("small")];
        if let Some(bit) = stored {
            let read = match kind {
                FaultKind::Flip => !*bit,
                FaultKind::StuckAt => cell.preferred,
            };
            hit += 1;
            flipped += u64::from(read != *bit);
            *bit = read;
        }
    }
    let mut next = 0;
    for (codes, weights) in codes.iter_mut().zip(&setting.graph.weights) {
        for code in codes {
            *code = 0;
            for bit in 0..weights.bits {
                *code |= u8::from(memory[next] == Some(true)) << bit;
                next += 1;
            }
        }
    }
    (codes, hit, flipped)
}

fn images(data: &Dataset) -> Images<'_> {
    Images { pixels: &data.images, labels: &data.labels }
}

#[test]
fn corruption_and_predictions_equal_the_slow_way() {
    for bits in [8, 4, 3] {
        let setting = setting(bits);
        for kind in [FaultKind::Flip, FaultKind::StuckAt] {
            let (codes, hit, flipped) = corrupted_slowly(&setting, kind);
            assert!(hit > 500, "the chip has faults under the codes");
            let expected: Vec<usize> = (0..IMAGES)
                .map(|index| {
                    let pixels = setting.data.image(index);
                    let input = setting.graph.input_codes(pixels).expect("a rule for pixels");
                    let tensors =
                        exec::reference::run(&setting.graph, &codes, &input).expect("runs");
                    exec::first_max(&tensors[setting.graph.output.0])
                })
                .collect();
            for kernel in vmin_kernels::available() {
                let emulator =
                    Emulator::new(&setting.graph, images(&setting.data), kernel).expect("they fit");
                let placement = WeightPlacement::from(setting.placement.clone());
                let faults = [(setting.chip.cells(), kind)];
                let corrupted = corrupt(&setting.graph, &placement, &faults).expect("they fit");
                assert_eq!(corrupted.codes, codes, "{bits} bits, {kind:?}");
                assert_eq!(
                    (corrupted.applied.cells_hit, corrupted.applied.bits_flipped),
                    (hit, flipped)
                );
                let predictions = emulator
                    .predict(&corrupted.codes, &AtomicBool::new(false))
                    .expect("not stopped");
                assert_eq!(predictions, expected, "{bits} bits, {kind:?}, {}", kernel.name());
            }
        }
    }
}

/// Packed storage is a string of bits, so its bytes may be corrupted as if they were 8-bit codes.
#[test]
fn packed_codes_are_corrupted_in_place_alike() {
    let setting = setting(3);
    let weights = &setting.graph.weights[1];
    let first_bit = setting.placement.tensors[1].first_bit;
    for kind in [FaultKind::Flip, FaultKind::StuckAt] {
        let mut codes = weights.codes.clone();
        let one_by_one = vmin_sram::apply(setting.chip.cells(), kind, &mut codes, 3, first_bit)
            .expect("it fits");
        assert!(one_by_one.cells_hit > 10);
        let mut packed = vmin_quant::pack(&weights.codes, 3);
        vmin_sram::apply(setting.chip.cells(), kind, &mut packed, 8, first_bit).expect("it fits");
        assert_eq!(vmin_quant::unpack(&packed, 3, codes.len()).expect("all codes"), codes);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let setting = setting(8);
    let kernel = vmin_kernels::best();
    let new = |images| Emulator::new(&setting.graph, images, kernel).err();
    let Dataset { images, labels, .. } = &setting.data;
    let short = Images { pixels: &images[1..], labels };
    assert!(matches!(new(short), Some(EmulatorError::ImageSize { .. })));
    let fewer = Images { pixels: images, labels: &labels[1..] };
    assert!(matches!(
        new(fewer),
        Some(EmulatorError::ImageSize { .. } | EmulatorError::Labels { .. })
    ));
    let mut wrong = labels.clone();
    wrong[0] = 10;
    let wrong = Images { pixels: images, labels: &wrong };
    assert_eq!(new(wrong), Some(EmulatorError::Classes { label: 10, classes: 10 }));
    let refused = |placement: ResidentPlacement| {
        let placement = WeightPlacement::from(placement);
        let placed = Placement::of_weights(placement.clone());
        let deployed = Deployment::new(&setting.graph, &placed, &Protection::default());
        let none = [(&[][..], FaultKind::Flip)];
        (corrupt(&setting.graph, &placement, &none).err(), deployed.err())
    };
    let mut placement = setting.placement.clone();
    placement.tensors.pop();
    let layers = setting.graph.weights.len();
    let error = ProtectedError::PlacedTensors { placed: layers - 1, tensors: layers };
    assert_eq!(refused(placement).1, Some(error));
    let mut placement = setting.placement.clone();
    placement.tensors[1].first_bit = placement.tensors[0].first_bit;
    let (corrupted, deployed) = refused(placement);
    assert!(matches!(corrupted, Some(ApplyError::Overlap { .. })), "{corrupted:?}");
    assert!(matches!(deployed, Some(ProtectedError::Placement(ApplyError::Overlap { .. }))));
}

#[test]
fn a_stopped_evaluation_says_so() {
    let setting = setting(8);
    let emulator = Emulator::new(&setting.graph, images(&setting.data), vmin_kernels::best())
        .expect("they fit");
    assert!(emulator.predict_clean(&AtomicBool::new(true)).is_err());
}
