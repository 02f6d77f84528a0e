//! Area estimate per component.
//!
//! ```text
//!  array    rows x columns x (multiplier 8 x 8 + adder 32 + registers 8 + 8 + 32 bits)
//!  vector   lanes x (multiplier 32 x 32 + adder 32)
//!  memory   CACTI by bank size at the nodes it knows, times banks
//! ```
//!
//! Logic comes from the 40 nm cells of Aladdin (Y. S. Shao et al., ISCA 2014): multiplier 32 x 32
//! 6,350 um2 (scaled with the product of its widths), adder 32 bit 278 um2, register 5.98 um2 per bit.
//! Memories come from CACTI at 45, 32 and 22 nm (low-standby-power cells, 8-byte words). Other nodes are
//! scaled with the square of the node, which real nodes below 28 nm do not reach: every such number is an
//! estimate and says so. Wires, control, clock tree and pads are not counted.

use serde::Serialize;

use crate::Accelerator;
use crate::accelerator::Memory;
use crate::energy::ConstantSet;

const ALADDIN_NM: f64 = 40.0;
const MULTIPLIER_32_UM2: f64 = 6350.0;
const ADDER_32_UM2: f64 = 278.0;
const REGISTER_BIT_UM2: f64 = 5.98;
const ALADDIN: &str = "Y. S. Shao et al., Aladdin, ISCA 2014, 40 nm";
const CACTI: &str = "CACTI, low-standby-power SRAM";

/// Bank sizes of the points: 4 KiB, doubling to 8 MiB.
const SIZE_MIN_LOG2: f64 = 12.0;
const NM22_MM2: [f64; 12] = [
    0.003_51, 0.006_27, 0.015_07, 0.026_69, 0.0586, 0.118_84, 0.225_29, 0.442_17, 0.778_46,
    1.542_69, 3.080_24, 6.0989,
];
const NM32_MM2: [f64; 12] = [
    0.007_45, 0.013_29, 0.025_66, 0.0566, 0.124_42, 0.217_28, 0.478_27, 0.938_77, 1.6503, 3.270_41,
    6.529_97, 12.9293,
];
const NM45_MM2: [f64; 12] = [
    0.0135, 0.026_27, 0.050_74, 0.094_86, 0.209_05, 0.429_59, 0.872_09, 1.644_63, 3.262_83,
    6.465_96, 11.989, 23.763,
];

/// Area of one component.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct ComponentArea {
    /// Which component.
    pub component: &'static str,
    /// Its area, in mm2.
    pub area_mm2: f64,
    /// Where the number comes from.
    pub source: String,
}

/// Area of every component, in the order array, vector unit, weight, activation, accumulator memory.
#[must_use]
pub fn components(accelerator: &Accelerator) -> Vec<ComponentArea> {
    let set = accelerator.energy.constants();
    let node_nm = set.node_nm();
    let scale = (node_nm / ALADDIN_NM) * (node_nm / ALADDIN_NM);
    let logic_source = format!("estimated: {ALADDIN}, times (node / 40 nm)^2");
    let sum_bits = accelerator.accumulator_bits as f64;
    let registers = (16.0 + sum_bits) * REGISTER_BIT_UM2;
    let multiplier_8 = MULTIPLIER_32_UM2 * (8.0 / 32.0) * (8.0 / 32.0);
    let element = multiplier_8 + ADDER_32_UM2 * sum_bits / 32.0 + registers;
    let lane = MULTIPLIER_32_UM2 + ADDER_32_UM2;
    let logic = |component, um2: f64| ComponentArea {
        component,
        area_mm2: um2 * scale * 1e-6,
        source: logic_source.clone(),
    };
    let memory = |component, memory: &Memory| {
        let bank_bytes = memory.geometry.cells_per_bank() as f64 / 8.0;
        let (mm2, source) = bank_mm2(set, bank_bytes);
        let area_mm2 = mm2 * f64::from(memory.geometry.banks());
        ComponentArea { component, area_mm2, source }
    };
    let memories = &accelerator.memories;
    vec![
        logic("array", element * accelerator.array.elements() as f64),
        logic("vector", lane * accelerator.vector_lanes as f64),
        memory("weight_memory", &memories.weight),
        memory("activation_memory", &memories.activation),
        memory("accumulator_memory", &memories.accumulator),
    ]
}

/// Area of all components, in mm2.
#[must_use]
pub fn total_mm2(accelerator: &Accelerator) -> f64 {
    components(accelerator).iter().map(|component| component.area_mm2).sum()
}

/// mm2 of one bank, with its source.
fn bank_mm2(set: ConstantSet, bank_bytes: f64) -> (f64, String) {
    let index = libm::log2(bank_bytes) - SIZE_MIN_LOG2;
    let at = |points: &[f64]| interpolate(points, index);
    match set {
        ConstantSet::Nm45 => (at(&NM45_MM2), format!("{CACTI}, 45 nm")),
        ConstantSet::Nm28 => {
            let (nm32, nm22) = (at(&NM32_MM2), at(&NM22_MM2));
            let weight = libm::log(32.0 / 28.0) / libm::log(32.0 / 22.0);
            let mm2 = nm32 * libm::pow(nm22 / nm32, weight);
            (mm2, format!("{CACTI}, interpolated between 32 and 22 nm"))
        }
        ConstantSet::Nm14 | ConstantSet::Nm7 => {
            let scale = set.node_nm() / 22.0;
            (
                at(&NM22_MM2) * scale * scale,
                format!("estimated: {CACTI}, 22 nm, times (node / 22 nm)^2"),
            )
        }
    }
}

/// The value at a fractional index, exponential between the points; below the first and above the last
/// in proportion to the size.
fn interpolate(points: &[f64], index: f64) -> f64 {
    let last = points.len() - 1;
    if index <= 0.0 {
        return points[0] * libm::exp2(index);
    }
    if index >= last as f64 {
        return points[last] * libm::exp2(index - last as f64);
    }
    let segment = libm::floor(index) as usize;
    let (low, high) = (points[segment], points[segment + 1]);
    low * libm::pow(high / low, index - segment as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_are_met_and_areas_grow_with_size_and_node() {
        let kib = 1024.0;
        assert!((bank_mm2(ConstantSet::Nm45, 64.0 * kib).0 - 0.20905).abs() < 1e-9);
        assert!((bank_mm2(ConstantSet::Nm45, 8192.0 * kib).0 - 23.763).abs() < 1e-9);
        let sets = [ConstantSet::Nm7, ConstantSet::Nm14, ConstantSet::Nm28, ConstantSet::Nm45];
        for size_log2 in 8..28 {
            let bytes = f64::from(1_u32 << size_log2);
            let areas = sets.map(|set| bank_mm2(set, bytes).0);
            assert!(areas.is_sorted() && areas[0] > 0.0, "{areas:?}");
            assert!(sets.iter().all(|&set| bank_mm2(set, 2.0 * bytes).0 > bank_mm2(set, bytes).0));
        }
    }

    #[test]
    fn a_small_array_by_hand() {
        // 6350 / 16 + 278 + 48 * 5.98 = 961.9 um2 per element at 40 nm.
        let accelerator = Accelerator::load("gemmini-16").unwrap();
        let list = components(&accelerator);
        let array = 256.0 * 961.915 * (45.0 / 40.0) * (45.0 / 40.0) * 1e-6;
        assert!((list[0].area_mm2 - array).abs() < 1e-9, "{list:?}");
        let sum: f64 = list.iter().map(|component| component.area_mm2).sum();
        assert_eq!(sum, total_mm2(&accelerator));
    }
}
