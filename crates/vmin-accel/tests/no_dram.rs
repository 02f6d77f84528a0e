//! Accelerators without DRAM: what fits runs with nothing but its input and output crossing the edge of the chip.

use std::collections::BTreeMap;

use vmin_accel::accelerator::{Variation, VariationError};
use vmin_accel::cycles::{self, Residence, Schedule};
use vmin_accel::energy::{Action, OperatingPoint, ert, per_inference};
use vmin_accel::{Accelerator, CycleModel, DoesNotFit, GemmShape, Layer, VoltageProfile};
use vmin_diagnostic::Source;

const WITHOUT: [&str; 2] = ["max78000", "edge-14nm"];

/// 100 pixels of 64 channels to 32 to 10, then pooled.
fn network() -> Vec<Layer> {
    vec![
        Layer::gemm("first", GemmShape::new(100, 32, 64).unwrap()),
        Layer::gemm("second", GemmShape::new(100, 10, 32).unwrap()),
        Layer::vector("pool", 1000, 10),
    ]
}

#[test]
fn only_the_input_and_the_output_cross_the_edge_and_cost_nothing() {
    for name in WITHOUT {
        let accelerator = Accelerator::load(name).unwrap();
        assert!(accelerator.dram.is_none());
        let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &network()).unwrap();
        let moved: Vec<[u64; 2]> =
            reports.iter().map(|layer| [layer.dram_bytes_read, layer.dram_bytes_written]).collect();
        assert_eq!(moved, [[6400, 0], [0, 0], [0, 10]], "{name}");
        assert!(reports.iter().all(|layer| layer.stall_cycles == 0), "{name}");
        let profile = VoltageProfile::load("sram14").unwrap();
        let energy =
            per_inference(&accelerator, &profile, &reports, &OperatingPoint::nominal(&profile));
        assert_eq!(energy.by_component.dram_nj, 0.0, "{name}");
        assert_eq!(accelerator.energy.pj(Action::DramByte), 0.0, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_what_lacks_room() {
    for name in WITHOUT {
        let accelerator = Accelerator::load(name).unwrap();
        let own = Schedule::of(&accelerator);
        let refused = |schedule, layers: &[Layer]| {
            cycles::run(&accelerator, schedule, layers).expect_err("too large").to_string()
        };
        // One code more than the weight memory has bytes.
        let bytes = accelerator.memories.weight.bits() / 8;
        let weights = |n| [Layer::gemm("x", GemmShape::new(1, n, 1).unwrap())];
        let error = refused(own, &weights(bytes + 1));
        assert!(error.contains("weights take") && error.contains(name), "{error}");
        let streamed = Schedule { weights: Residence::Streamed, ..own };
        assert!(refused(streamed, &network()).contains("stream"));
        let scalesim = Schedule { cycle_model: CycleModel::ScalesimV3, ..own };
        assert!(refused(scalesim, &network()).contains("scalesim-v3"));
        // A tensor between two layers that is larger than the activation memory.
        let pixels = accelerator.memories.activation.bits() / 8 / 16 + 1;
        let wide = |name| Layer::gemm(name, GemmShape::new(pixels, 16, 1).unwrap());
        let narrow = Layer::gemm("back", GemmShape::new(pixels, 1, 16).unwrap());
        let error = refused(own, &[wide("large"), narrow]);
        assert!(error.contains("layer `large`"), "{error}");
    }
}

#[test]
fn a_table_with_dram_changes_nothing_and_says_so() {
    let accelerator = Accelerator::load("edge-14nm").unwrap();
    let table = "ERT:\n  version: '0.4'\n  tables:\n  - name: x.mac\n    actions:\n    - name: compute\n      \
                 energy: 0.5\n  - name: x.dram\n    actions:\n    - name: transfer\n      energy: 20\n";
    let source = Source::new("t.yaml", table);
    let (changed, notes) = ert::import(&accelerator, &source, &BTreeMap::new()).unwrap();
    assert_eq!(changed.energy.pj(Action::Mac), 0.5);
    assert_eq!(changed.energy.pj(Action::DramByte), 0.0);
    let told = "`x.dram.transfer` has no effect: `edge-14nm` has no DRAM";
    assert!(notes.iter().any(|note| note == told), "{notes:?}");
    assert!(!ert::export(&accelerator).contains("dram"));
    assert!(ert::export(&Accelerator::load("gemmini-16").unwrap()).contains(".dram"));
}

#[test]
fn a_bandwidth_cannot_be_varied() {
    let accelerator = Accelerator::load("max78000").unwrap();
    let faster = Variation { dram_bytes_per_second: Some(1e9), ..Variation::default() };
    assert_eq!(accelerator.varied(&faster), Err(VariationError::NoDram));
}

#[test]
fn the_first_layer_without_room_is_named_with_the_bytes_beyond() {
    let mut accelerator = Accelerator::load("edge-14nm").unwrap();
    accelerator = accelerator
        .varied(&Variation { activation_kib: Some(64), ..Variation::default() })
        .unwrap();
    let layers = [
        Layer::gemm("grow", GemmShape::new(1024, 65, 1).unwrap()),
        Layer::gemm("shrink", GemmShape::new(1024, 1, 65).unwrap()),
    ];
    let error = cycles::run(&accelerator, Schedule::of(&accelerator), &layers).unwrap_err();
    assert!(
        matches!(&error, DoesNotFit::Layer { layer, bytes, .. } if layer == "grow" && *bytes > 0)
    );
}
