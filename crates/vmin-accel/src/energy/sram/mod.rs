//! Energy, leakage and cycle time of an SRAM by bank size, word width and kind of cells.
//!
//! The points are runs of CACTI (300 K, one bank, one read-write port) at 22, 32 and 45 nm with three kinds of
//! transistors: by size at 8-byte words, by width at 64 KiB, 256 KiB and 1 MiB. Between points a quantity
//! is interpolated on logarithmic axes, beyond them continued with the last slope; the width
//! enters as a factor, which below 64 KiB and above 1 MiB is that of the nearest of the three sizes. The
//! rule reproduces every run. A test leaves points out to measure its error between them: of energies, a width
//! interpolated from its neighbours is off by 3.4 % in the median and 12.1 % at worst, the factors at
//! 256 KiB interpolated from those at 64 KiB and 1 MiB by 5.6 % and 16.8 % (low-standby-power cells). Wide words cost
//! less per byte (at 45 nm and 64 KiB 4.5 pJ/B for 4-byte words, 1.2 pJ/B for 64-byte words), so no single "pJ per
//! byte" is offered. At 45 nm the points agree with
//! M. Horowitz, "Computing's energy problem", ISSCC 2014 (20 pJ for 64 bits of 32 KiB, 100 pJ for
//! 1 MiB; here 17 and 94 pJ).
//!
//! Cycle times jump where CACTI divides a bank otherwise: between two sizes they may be off by the whole step, up to
//! a factor of 2.2 from 128 to 256 KiB.

mod runs;

use vmin_sram::Geometry;

/// Bank sizes of the points: 4 KiB, doubling to 8 MiB.
const SIZES: usize = 12;
const SIZE_MIN_LOG2: f64 = 12.0;
/// Word widths of the points: 4 bytes, doubling to 64.
const WIDTHS: usize = 5;
/// Bank sizes at which the widths were run: 64 KiB, 256 KiB, 1 MiB.
const WIDTH_SIZES: usize = 3;
const WIDTH_SIZE_MIN_LOG2: f64 = 16.0;
const WIDTH_SIZE_STEP_LOG2: f64 = 2.0;
const WIDTH_MIN_LOG2: f64 = 2.0;
/// The width at which the sizes were run, 8 bytes, as an index of the widths.
const WIDTH_OF_SIZES: f64 = 1.0;

/// pJ per read, pJ per write, uW of leakage per KiB, ns between two accesses.
type Run = [f64; 4];

/// The runs of one technology node and kind of cells.
struct Runs {
    by_size: [Run; SIZES],
    by_width: [[Run; WIDTHS]; WIDTH_SIZES],
}

/// The transistors of a memory, as CACTI knows them from the ITRS roadmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cells {
    /// Low standby power: slow, leaks least.
    Lstp,
    /// Low operating power: a low supply, between the two.
    Lop,
    /// High performance: fast, leaks most.
    Hp,
}

impl Cells {
    /// Every kind with its word, those that leak less first.
    pub const ALL: [(&'static str, Self); 3] =
        [("lstp", Self::Lstp), ("lop", Self::Lop), ("hp", Self::Hp)];

    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// Its name in sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lstp => "low-standby-power",
            Self::Lop => "low-operating-power",
            Self::Hp => "high-performance",
        }
    }
}

/// One bank of a memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bank {
    pub bytes: f64,
    pub word_bytes: f64,
    pub cells: Cells,
}

impl Bank {
    pub(crate) fn of(geometry: Geometry, word_bits: u64, cells: Cells) -> Self {
        let bytes = geometry.cells_per_bank() as f64 / 8.0;
        Self { bytes, word_bytes: word_bits as f64 / 8.0, cells }
    }
}

/// What a bank costs, and how often it can be accessed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sram {
    pub read_pj: f64,
    pub write_pj: f64,
    pub leakage_uw_per_kib: f64,
    pub cycle_ns: f64,
}

impl Runs {
    fn at(&self, bank: Bank) -> Sram {
        let size = libm::log2(bank.bytes) - SIZE_MIN_LOG2;
        let of = |quantity: usize| {
            let by_width = self.by_width.map(|at_size| at_size.map(|run| run[quantity]));
            let by_size = self.by_size.map(|run| run[quantity]);
            log_interpolate(&by_size, size) * width_factor(&by_width, bank.bytes, bank.word_bytes)
        };
        Sram { read_pj: of(0), write_pj: of(1), leakage_uw_per_kib: of(2), cycle_ns: of(3) }
    }
}

/// A quantity at words of this width relative to that at 8 bytes.
fn width_factor(by_width: &[[f64; WIDTHS]; WIDTH_SIZES], bank_bytes: f64, word_bytes: f64) -> f64 {
    let width = libm::log2(word_bytes) - WIDTH_MIN_LOG2;
    let factors = by_width
        .each_ref()
        .map(|at_size| log_interpolate(at_size, width) / log_interpolate(at_size, WIDTH_OF_SIZES));
    let size = (libm::log2(bank_bytes) - WIDTH_SIZE_MIN_LOG2) / WIDTH_SIZE_STEP_LOG2;
    log_interpolate(&factors, size.clamp(0.0, (WIDTH_SIZES - 1) as f64))
}

/// The value at a fractional index, exponential between the points and beyond them.
fn log_interpolate(points: &[f64], index: f64) -> f64 {
    let last = points.len() - 2;
    let segment = (libm::floor(index).max(0.0) as usize).min(last);
    let (low, high) = (points[segment], points[segment + 1]);
    low * libm::pow(high / low, index - segment as f64)
}

/// A bank at 45 nm.
pub(super) fn nm45(bank: Bank) -> Sram {
    let runs = match bank.cells {
        Cells::Lstp => &runs::NM45_LSTP,
        Cells::Lop => &runs::NM45_LOP,
        Cells::Hp => &runs::NM45_HP,
    };
    runs.at(bank)
}

/// A bank at 22 nm.
pub(super) fn nm22(bank: Bank) -> Sram {
    let runs = match bank.cells {
        Cells::Lstp => &runs::NM22_LSTP,
        Cells::Lop => &runs::NM22_LOP,
        Cells::Hp => &runs::NM22_HP,
    };
    runs.at(bank)
}

fn nm32(bank: Bank) -> Sram {
    let runs = match bank.cells {
        Cells::Lstp => &runs::NM32_LSTP,
        Cells::Lop => &runs::NM32_LOP,
        Cells::Hp => &runs::NM32_HP,
    };
    runs.at(bank)
}

/// A bank at 28 nm, between the 32 and 22 nm points on logarithmic axes.
pub(super) fn nm28(bank: Bank) -> Sram {
    let (nm32, nm22) = (nm32(bank), nm22(bank));
    let weight = libm::log(32.0 / 28.0) / libm::log(32.0 / 22.0);
    let between = |of: fn(&Sram) -> f64| of(&nm32) * libm::pow(of(&nm22) / of(&nm32), weight);
    Sram {
        read_pj: between(|sram| sram.read_pj),
        write_pj: between(|sram| sram.write_pj),
        leakage_uw_per_kib: between(|sram| sram.leakage_uw_per_kib),
        cycle_ns: between(|sram| sram.cycle_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: f64 = 1024.0;
    const QUANTITIES: [fn(&Sram) -> f64; 4] =
        [|s| s.read_pj, |s| s.write_pj, |s| s.leakage_uw_per_kib, |s| s.cycle_ns];

    const fn bank(bytes: f64, word_bytes: f64, cells: Cells) -> Bank {
        Bank { bytes, word_bytes, cells }
    }

    #[test]
    fn the_points_are_met() {
        let lstp = |kib: f64, word_bytes| nm45(bank(kib * KIB, word_bytes, Cells::Lstp));
        assert!((lstp(64.0, 8.0).read_pj - 25.8695).abs() < 1e-9);
        assert!((lstp(64.0, 64.0).write_pj - 126.628).abs() < 1e-9);
        assert!((lstp(8192.0, 8.0).read_pj - 254.905).abs() < 1e-9);
        assert!((lstp(64.0, 16.0).cycle_ns - 1.89315).abs() < 1e-9);
        let between = lstp(48.0, 8.0).read_pj;
        assert!(between > 17.0418 && between < 25.8695);
    }

    #[test]
    fn energy_grows_with_size_and_width_and_falls_with_the_node() {
        for of in [|s: &Sram| s.read_pj, |s: &Sram| s.write_pj] {
            for size_log2 in 9..28 {
                let size = f64::from(1_u32 << size_log2);
                let at = |size, width| of(&nm45(bank(size, width, Cells::Lstp)));
                let pj = at(size, 16.0);
                assert!(pj > 0.0 && pj < at(2.0 * size, 16.0));
                assert!(pj < at(size, 32.0));
                // Only where there are points: extrapolated, the nodes' lines cross.
                assert!(size < 4096.0 || of(&nm28(bank(size, 16.0, Cells::Lstp))) < pj);
            }
        }
    }

    #[test]
    fn cells_that_leak_more_are_faster() {
        for of_node in [nm45, nm28, nm22] {
            // Where there are points: extrapolated, the lines cross.
            let by_size = (12..24).map(|size_log2| (size_log2, 8.0));
            let widths = [4.0, 8.0, 16.0, 32.0, 64.0];
            let by_width =
                [16, 18, 20].into_iter().flat_map(|size| widths.map(|width| (size, width)));
            for (size_log2, width) in by_size.chain(by_width) {
                let [lstp, lop, hp] = Cells::ALL
                    .map(|(_, cells)| of_node(bank(f64::from(1 << size_log2), width, cells)));
                assert!(lstp.leakage_uw_per_kib < lop.leakage_uw_per_kib);
                assert!(lop.leakage_uw_per_kib < hp.leakage_uw_per_kib);
                assert!(hp.cycle_ns < lop.cycle_ns && lop.cycle_ns < lstp.cycle_ns);
            }
        }
    }

    /// Median and largest of relative errors.
    fn median_and_worst(mut errors: Vec<f64>) -> (f64, f64) {
        errors.sort_by(f64::total_cmp);
        let middle = errors.len() / 2;
        let median = if errors.len().is_multiple_of(2) {
            0.5 * (errors[middle - 1] + errors[middle])
        } else {
            errors[middle]
        };
        (median, errors[errors.len() - 1])
    }

    #[test]
    fn the_stated_errors_are_those_of_leaving_points_out() {
        let (mut widths, mut sizes, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for node in [&runs::NM22_LSTP, &runs::NM32_LSTP, &runs::NM45_LSTP] {
            for energy in 0..2 {
                let tables = node.by_width.map(|at_size| at_size.map(|run| run[energy]));
                for at_size in &tables {
                    for left_out in 1..=3 {
                        let back = (at_size[left_out - 1] * at_size[left_out + 1]).sqrt();
                        widths.push((back / at_size[left_out] - 1.0).abs());
                    }
                }
                for width in [0, 2, 3, 4] {
                    let [small, middle, large] =
                        tables.each_ref().map(|at_size| at_size[width] / at_size[1]);
                    sizes.push(((small * large).sqrt() / middle - 1.0).abs());
                }
            }
            steps.extend(node.by_size.windows(2).map(|pair| pair[1][3] / pair[0][3]));
        }
        let stated = |(median, worst): (f64, f64), to: (f64, f64)| {
            assert!(
                (median - to.0).abs() < 5e-4 && (worst - to.1).abs() < 5e-4,
                "{median} {worst}"
            );
        };
        stated(median_and_worst(widths), (0.034, 0.121));
        stated(median_and_worst(sizes), (0.056, 0.168));
        let steepest = steps.into_iter().fold(0.0, f64::max);
        assert!((steepest - 2.2).abs() < 0.05, "{steepest}");
    }

    #[test]
    fn every_run_of_the_data_is_met() {
        let Some(path) = vmin_testkit::data("cycles/cacti_sram.csv") else { return };
        let mut met = 0;
        for row in csv::Reader::from_path(path).unwrap().records() {
            let row = row.unwrap();
            let of_node: fn(Bank) -> Sram = match &row[0] {
                "22" => nm22,
                "32" => nm32,
                "45" => nm45,
                _ => continue,
            };
            let cells = row[1].strip_prefix("itrs-").unwrap();
            let (_, cells) = Cells::ALL.into_iter().find(|(word, _)| *word == cells).unwrap();
            let number = |column: usize| row[column].parse::<f64>().unwrap();
            let sram = of_node(bank(number(2), number(3), cells));
            for (of, column) in QUANTITIES.into_iter().zip([4, 6, 9, 11]) {
                assert!((of(&sram) / number(column) - 1.0).abs() < 1e-9, "{row:?} {sram:?}");
                met += 1;
            }
        }
        assert_eq!(met, 3 * 3 * 4 * (12 + 3 * 4));
    }
}
