//! What recalibration gives back of a network that nobody trained for errors.

use std::sync::atomic::AtomicBool;

use vmin_accel::ResidentPlacement;
use vmin_accel::placement::WeightPlacement;
use vmin_emulator::{BufferFaults, Calibration, Corrected, Emulator, Images, corrupt};
use vmin_nn::data::{Limits, Split};
use vmin_sram::{FaultKind, FaultyCell, Geometry, Score};
use vmin_testkit::Lcg;

const TESTED: usize = 200;
const CALIBRATED: usize = 64;

#[test]
fn resnet8_with_one_percent_of_its_cells_stuck() {
    let path = vmin_testkit::data("models/mlperf-tiny/pretrainedResnet_quant.tflite");
    let (Some(path), Some(folder)) = (path, vmin_testkit::cifar10()) else { return };
    let graph = vmin_nn::model::load(path.to_str().unwrap()).unwrap();
    let spec = format!("cifar10:{}", folder.display());
    let [test, train] = [Split::Test, Split::Train]
        .map(|split| vmin_nn::data::load(&spec, split, Limits::default()).unwrap());
    let pixels = graph.tensors[graph.input.0].elements();
    let (kernel, stop) = (vmin_kernels::best(), AtomicBool::new(false));
    let images = Images { pixels: &test.images[..TESTED * pixels], labels: &test.labels[..TESTED] };
    let calibration =
        Calibration::new(&graph, &train.images[..CALIBRATED * pixels], kernel, &stop).unwrap();
    let wrong = |graph: &_, codes: &[Vec<u8>]| {
        let emulator = Emulator::new(graph, images, kernel).unwrap();
        let predictions = emulator.predict(codes, &stop).unwrap();
        TESTED as u64 - emulator.score(&predictions, &predictions).correct
    };
    let sizes = graph.weights.iter().map(|weights| (weights.codes.len() as u64, weights.bits));
    let bits = graph.weights_total() as u64 * 8;
    let geometry = Geometry::new(1, u32::try_from(bits.div_ceil(128)).unwrap(), 128).unwrap();
    let placement = WeightPlacement::from(ResidentPlacement::in_memory(geometry, sizes).unwrap());

    let (mut plain, mut biases, mut both) = (0, 0, 0);
    for chip in 0..4 {
        let mut rng = Lcg(chip);
        let cell = |address| {
            let (faulty, preferred) = (rng.pick(1..=100) == 1, rng.byte() & 1 == 1);
            faulty.then_some(FaultyCell { address, score: Score(0), preferred })
        };
        let cells: Vec<FaultyCell> = (0..bits).filter_map(cell).collect();
        let codes = corrupt(&graph, &placement, &[(&cells, FaultKind::StuckAt)]).unwrap().codes;
        let of = |corrected| {
            let faults = BufferFaults::default();
            let graph = calibration.recalibrated(&codes, faults, corrected, &stop).unwrap();
            wrong(&graph, &codes)
        };
        plain += wrong(&graph, &codes);
        biases += of(Corrected::Biases);
        both += of(Corrected::BiasesAndMultipliers);
    }
    let seen = format!("{plain} wrong, {biases} with biases, {both} with multipliers too");
    assert!(3 * biases < 2 * plain && both < biases, "{seen}");
}
