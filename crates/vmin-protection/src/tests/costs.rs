//! Combinations, costs against plain energy and the closed forms.

use vmin_sram::protection::{Masking, OnDetected};

use super::*;
use crate::cycles::{self, Schedule};
use crate::energy::{OperatingPoint, per_inference};
use crate::{Accelerator, GemmShape, Layer, VoltageProfile};

fn secded(data_bits: u32) -> Mechanism {
    Mechanism::Secded { data_bits, on_detected: OnDetected::Keep }
}

fn parts() -> (Accelerator, VoltageProfile, Vec<crate::LayerReport>) {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let layers = [
        Layer::gemm("a", GemmShape::new(1024, 16, 144).unwrap()),
        Layer::vector("b", 100, 100),
        Layer::gemm("c", GemmShape::new(64, 64, 576).unwrap()),
    ];
    let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers);
    (accelerator, VoltageProfile::load("sram14").unwrap(), reports)
}

const WEIGHTED: [Option<usize>; 3] = [Some(1), None, Some(2)];

fn energy(mechanisms: Vec<Mechanism>, vdd_mv: f64) -> ProtectedEnergy {
    let (accelerator, profile, reports) = parts();
    let protection = Protection::new(mechanisms).unwrap();
    let costs = ProtectionCosts::load("estimates").unwrap();
    let layers = ProtectedLayers { reports: &reports, weighted: &WEIGHTED, banks_used: 2 };
    let point = OperatingPoint::weight_memory(&profile, vdd_mv);
    protected_energy(&accelerator, &profile, layers, &protection, &costs, &point)
}

#[test]
fn nonsense_is_refused() {
    use ProtectionError as E;
    let boost = || Mechanism::Boost { raise_mv: 50.0 };
    let safe = || Mechanism::SafeBits { bits: 1, supply: Supply::FixedMv(1000.0) };
    let spares = || Mechanism::Spares { rows: 1, columns: 1, repair_vdd_mv: 900.0 };
    let masks = || Mechanism::DetectingRead { masking: Masking::Bits };
    let parity = || Mechanism::Parity { data_bits: None };
    let refused = |list| Protection::new(list).unwrap_err();
    assert_eq!(refused(vec![boost(), boost()]), (1, E::Twice { kind: "boost" }));
    assert_eq!(refused(vec![spares(), boost()]), (1, E::Order { inner: "boost", outer: "spares" }));
    assert_eq!(
        refused(vec![secded(64), parity()]),
        (1, E::TwoOnWords { first: "secded", second: "parity" })
    );
    assert_eq!(refused(vec![safe(), secded(64)]), (1, E::WordOnTwoRails { code: "secded" }));
    assert!(Protection::new(vec![safe(), masks()]).is_ok());
    assert!(Protection::new(vec![boost(), spares(), secded(64)]).is_ok());
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
        assert_eq!((protected.codec_nj, protected.extra_bits_share), (0.0, 0.0));
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
        assert!((protected.extra_bits_share - (bits - 1.0)).abs() < 1e-12);
        assert!(protected.latency_us > energy(Vec::new(), 900.0).latency_us);
    }
}

#[test]
fn rails_cost_what_their_bits_cost() {
    let square = |mv: f64| (mv / 1000.0) * (mv / 1000.0);
    let fixed = |mechanism, vdd_mv| energy(vec![mechanism], vdd_mv).access_scale;
    let safe = Mechanism::SafeBits { bits: 2, supply: Supply::FixedMv(1000.0) };
    let expected = 1.02 * (0.25 + 0.75 * square(800.0));
    assert!((fixed(safe, 800.0) - expected).abs() < 1e-12);
    let bank = Mechanism::BankRail { share: 0.3, supply: Supply::RaisedByMv(100.0) };
    let expected = 1.02 * 0.5 * (square(900.0) + square(800.0));
    assert!((fixed(bank, 800.0) - expected).abs() < 1e-12, "one of two banks");
    let boost = Mechanism::Boost { raise_mv: 50.0 };
    assert!((fixed(boost, 800.0) - 1.1 * square(850.0)).abs() < 1e-12);
    let every_layer = Mechanism::LayerRail { layers: vec![1, 2], supply: Supply::FixedMv(900.0) };
    assert!((fixed(every_layer, 800.0) - 1.02 * square(900.0)).abs() < 1e-12);
    let one_layer = Mechanism::LayerRail { layers: vec![1], supply: Supply::FixedMv(900.0) };
    let scale = fixed(one_layer, 800.0);
    assert!(scale > 1.02 * square(800.0) && scale < 1.02 * square(900.0));
    // A rail never lies below the swept one.
    let low = Mechanism::LayerRail { layers: vec![1], supply: Supply::FixedMv(700.0) };
    assert!((fixed(low, 800.0) - 1.02 * square(800.0)).abs() < 1e-12);
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
