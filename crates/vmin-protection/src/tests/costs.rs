//! Combinations, costs against plain energy and the closed forms.

use std::sync::Arc;

use vmin_accel::cycles::{self, LayerReport, Schedule};
use vmin_accel::energy::{OperatingPoint, per_inference};
use vmin_accel::{Accelerator, GemmShape, Layer, Memory, PerMemory, VoltageProfile};

use crate::mechanisms::{
    BankRail, Boost, DetectingRead, InvertRows, LayerRail, Masking, Parity, SafeBits, Secded,
    Spares, StrongestRows,
};
use crate::rails::Supply;
use crate::words::OnDetected;
use crate::{
    CostKey, Extent, Mechanism, ProtectedEnergy, ProtectedLayers, Protection, ProtectionCosts,
    ProtectionError, area_share, protected_energy,
};

fn secded(data_bits: u32) -> Arc<dyn Mechanism> {
    Arc::new(Secded { data_bits, on_detected: OnDetected::Keep })
}

fn parts() -> (Accelerator, VoltageProfile, Vec<LayerReport>) {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let layers = [
        Layer::gemm("a", GemmShape::new(1024, 16, 144).unwrap()),
        Layer::vector("b", 100, 100),
        Layer::gemm("c", GemmShape::new(64, 64, 576).unwrap()),
    ];
    let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers).unwrap();
    (accelerator, VoltageProfile::load("sram14").unwrap(), reports)
}

const WEIGHTED: [Option<usize>; 3] = [Some(1), None, Some(2)];

fn energy(mechanisms: Vec<Arc<dyn Mechanism>>, vdd_mv: f64) -> ProtectedEnergy {
    let (accelerator, profile, reports) = parts();
    let protection = Protection::of_weights(mechanisms).unwrap();
    let costs = ProtectionCosts::load("estimates").unwrap();
    let layers = ProtectedLayers {
        reports: &reports,
        weighted: &WEIGHTED,
        banks_used: PerMemory::from_fn(|_| 2),
    };
    let point = OperatingPoint::weight_memory(&profile, vdd_mv);
    protected_energy(&accelerator, &profile, layers, &protection, &costs, &point)
}

#[test]
fn area_is_that_of_extra_cells_and_of_gates_for_one_access() {
    let (accelerator, _, _) = parts();
    let costs = ProtectionCosts::load("estimates").unwrap();
    let bits = Memory::ALL.map(|(_, memory)| accelerator.memories.get(memory).bits() as f64);
    let bits: f64 = bits.iter().sum();
    let weight = &accelerator.memories.weight;
    let extent = Extent { code_bits: 8, ..Extent::default() };
    let extents = PerMemory::from_fn(|_| extent);
    let of = |mechanism: Arc<dyn Mechanism>| {
        let protection = Protection::of_weights([mechanism]).unwrap();
        area_share(&accelerator, &protection, &costs, &extents) * bits
    };
    // Parity per code of a memory that makes no errors: one bit more for eight.
    let parity: [(Memory, Arc<dyn Mechanism>); 1] =
        [(Memory::Activation, Arc::new(Parity { data_bits: None }))];
    let parity = Protection::new(parity).unwrap();
    let parity = area_share(&accelerator, &parity, &costs, &PerMemory::default()) * bits;
    let activation = accelerator.memories.activation.bits() as f64;
    assert!((0.125..0.126).contains(&(parity / activation)), "{}", parity / activation);
    // One flag per row, and two XORs per bit of an access.
    let rows = f64::from(weight.geometry.banks()) * f64::from(weight.geometry.rows());
    let gate = 0.798 / 0.346;
    let invert = rows + 2.0 * weight.word_bits as f64 * gate;
    assert!((of(Arc::new(InvertRows {})) / invert - 1.0).abs() < 1e-9);
    let spare_rows = 2.0 * f64::from(weight.geometry.columns() * weight.geometry.banks());
    let spares = of(Arc::new(Spares { rows: 2, columns: 0, repair_vdd_mv: 900.0 }));
    assert!((spares / spare_rows - 1.0).abs() < 1e-9);
    assert!(of(Arc::new(Boost { raise_mv: 50.0 })) == 0.0);
}

#[test]
fn nonsense_is_refused() {
    use ProtectionError as E;
    type Any = Arc<dyn Mechanism>;
    let boost = || -> Any { Arc::new(Boost { raise_mv: 50.0 }) };
    let safe = || -> Any { Arc::new(SafeBits { bits: 1, supply: Supply::FixedMv(1000.0) }) };
    let spares = || -> Any { Arc::new(Spares { rows: 1, columns: 1, repair_vdd_mv: 900.0 }) };
    let masks = || -> Any { Arc::new(DetectingRead { masking: Masking::Bits }) };
    let parity = || -> Any { Arc::new(Parity { data_bits: None }) };
    let refused = |list| Protection::of_weights(list).unwrap_err();
    assert_eq!(refused(vec![boost(), boost()]), (1, E::Twice { kind: "boost" }));
    assert_eq!(refused(vec![spares(), boost()]), (1, E::Order { inner: "boost", outer: "spares" }));
    assert_eq!(
        refused(vec![secded(64), parity()]),
        (1, E::TwoOnWords { first: "secded", second: "parity" })
    );
    assert_eq!(refused(vec![safe(), secded(64)]), (1, E::WordOnTwoRails { code: "secded" }));
    assert!(Protection::of_weights(vec![safe(), masks()]).is_ok());
    assert!(Protection::of_weights(vec![boost(), spares(), secded(64)]).is_ok());
    // Each memory has a list of its own.
    let each = Memory::ALL.map(|(_, memory)| (memory, boost()));
    assert!(Protection::new(each).is_ok());
    let twice =
        [(Memory::Weight, boost()), (Memory::Activation, boost()), (Memory::Weight, boost())];
    assert_eq!(Protection::new(twice).unwrap_err(), (2, E::Twice { kind: "boost" }));
}

#[test]
fn no_protection_costs_nothing() {
    let (accelerator, profile, reports) = parts();
    for vdd_mv in [1000.0, 875.0, 800.0] {
        let point = OperatingPoint::weight_memory(&profile, vdd_mv);
        let plain = per_inference(&accelerator, &profile, &reports, &point);
        let protected = energy(Vec::new(), vdd_mv);
        assert!((protected.total_nj / plain.total_nj - 1.0).abs() < 1e-12);
        assert!((protected.latency_us / plain.latency_us - 1.0).abs() < 1e-12);
        assert!((protected.access_scale - profile.access_energy_scale(vdd_mv)).abs() < 1e-12);
        assert_eq!((protected.codec_nj, protected.extra_bits_share), (0.0, PerMemory::default()));
    }
}

#[test]
fn a_word_code_costs_bits_gates_and_a_stage() {
    for (k, n) in [(32, 39.0), (64, 72.0), (128, 137.0)] {
        let protected = energy(vec![secded(k)], 900.0);
        let bits = n / f64::from(k);
        let without_gates = protected.access_scale
            * (1.0 - protected.codec_nj / protected.by_component.weight_memory_nj);
        assert!((without_gates - bits * 0.81).abs() < 1e-12, "{k}: (n / k) (V / Vref)^2");
        assert!(protected.codec_nj > 0.0);
        assert!((protected.extra_bits_share.weight - (bits - 1.0)).abs() < 1e-12);
        assert!(protected.latency_us > energy(Vec::new(), 900.0).latency_us);
    }
}

#[test]
fn rails_cost_what_their_bits_cost() {
    let square = |mv: f64| (mv / 1000.0) * (mv / 1000.0);
    let fixed =
        |mechanism: Arc<dyn Mechanism>, vdd_mv| energy(vec![mechanism], vdd_mv).access_scale;
    let safe = SafeBits { bits: 2, supply: Supply::FixedMv(1000.0) };
    let expected = 1.02 * (0.25 + 0.75 * square(800.0));
    assert!((fixed(Arc::new(safe), 800.0) - expected).abs() < 1e-12);
    let bank = BankRail { share: 0.3, supply: Supply::RaisedByMv(100.0) };
    let expected = 1.02 * 0.5 * (square(900.0) + square(800.0));
    assert!((fixed(Arc::new(bank), 800.0) - expected).abs() < 1e-12, "one of two banks");
    let boost = Boost { raise_mv: 50.0 };
    assert!((fixed(Arc::new(boost), 800.0) - 1.1 * square(850.0)).abs() < 1e-12);
    let every_layer = LayerRail { layers: vec![1, 2], supply: Supply::FixedMv(900.0) };
    assert!((fixed(Arc::new(every_layer), 800.0) - 1.02 * square(900.0)).abs() < 1e-12);
    let one_layer = LayerRail { layers: vec![1], supply: Supply::FixedMv(900.0) };
    let scale = fixed(Arc::new(one_layer), 800.0);
    assert!(scale > 1.02 * square(800.0) && scale < 1.02 * square(900.0));
    // A rail never lies below the swept one.
    let low = LayerRail { layers: vec![1], supply: Supply::FixedMv(700.0) };
    assert!((fixed(Arc::new(low), 800.0) - 1.02 * square(800.0)).abs() < 1e-12);
}

#[test]
fn shipped_costs_are_complete_and_have_sources() {
    let costs = ProtectionCosts::load("estimates").unwrap();
    assert_eq!(costs.entries().len(), CostKey::ALL.len());
    assert!(costs.entries().iter().all(|cost| cost.source.len() > 20 && !cost.unit.is_empty()));
    assert_eq!(vmin_testkit::toml_names("protection-costs"), ProtectionCosts::names());
    let broken = vmin_diagnostic::Source::new("x.toml", "name = \"x\"\ntitle = \"y\"\n");
    assert_eq!(ProtectionCosts::parse(&broken).unwrap_err().into_list().len(), CostKey::ALL.len());
}

/// Every access reads an entry of the row table: the number of a row, or of a section.
#[test]
fn a_row_table_is_read_at_every_access() {
    let memory = &parts().0.memories.weight;
    let rows = u64::from(memory.geometry.banks()) * u64::from(memory.geometry.rows());
    let number = u64::from(rows.next_power_of_two().ilog2());
    let plain = energy(vec![], 900.0).access_scale;
    for (ways, bits) in [(None, number), (Some(2), 1), (Some(16), 4), (Some(256), number.min(8))] {
        let table = StrongestRows { share: None, ways };
        let scale = energy(vec![Arc::new(table)], 900.0).access_scale;
        let expected = 1.0 + bits as f64 / memory.word_bits as f64;
        assert!((scale / plain - expected).abs() < 1e-12, "{ways:?}: {scale} {plain}");
    }
}
