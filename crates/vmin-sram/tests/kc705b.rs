//! The model of the public 28 nm chip against that chip.
//!
//! Block RAM of a Xilinx KC705 board, measured by B. Salami et al. ("Comprehensive evaluation of supply
//! voltage underscaling in FPGA on-chip memories", MICRO 2018): 890 block RAMs of 512 x 16 distinct cells,
//! critical voltage of mean 385 mV and sigma 39.8 mV, variance shares of block RAM, column, half-column
//! and cell 0.046, 0.368, 0.156, 0.430 (fitted to the pair counts at 0.53 V).

use vmin_sram::{
    Chip, ChipKey, FaultStatistics, Geometry, Population, Threshold, VarianceShares, normal,
};

const CHIPS: u64 = 24;
const VDD_MV: [f64; 7] = [590.0, 580.0, 570.0, 560.0, 550.0, 540.0, 530.0];
/// The chip's unique faults at those voltages.
const MEASURED: [f64; 7] = [1.0, 4.0, 13.0, 31.0, 126.0, 345.0, 1137.0];

fn threshold(vdd_mv: f64) -> Threshold {
    Threshold::from_rate(normal::cdf((385.0 - vdd_mv) / 39.8)).unwrap()
}

fn figures(shares: VarianceShares) -> Vec<([f64; 7], FaultStatistics)> {
    let population = Population::new("fpga28-kc705b", shares, 1.0).unwrap();
    let geometry = Geometry::new(890, 512, 16).unwrap();
    (0..CHIPS)
        .map(|chip| {
            let key = ChipKey { seed: 28, chip, memory: 0 };
            let chip = Chip::sample(&population, key, geometry, threshold(530.0)).unwrap();
            let faults = VDD_MV.map(|vdd| chip.faults(threshold(vdd)).unwrap().len() as f64);
            (faults, FaultStatistics::new(chip.cells(), geometry).unwrap())
        })
        .collect()
}

struct Spread {
    mean: f64,
    sigma: f64,
}

fn spread(values: impl Iterator<Item = f64> + Clone) -> Spread {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let sigma = (values.map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    Spread { mean, sigma }
}

/// What is looked at, the chip's figure, and how to compute it.
type Figure = (&'static str, f64, fn(&FaultStatistics) -> f64);
const FIGURES: [Figure; 5] = [
    ("columns hit", 310.0, |f| f.columns_hit as f64),
    ("worst column", 61.0, |f| f.max_per_column as f64),
    ("block RAMs without a fault", 0.719, |f| f.banks_without_fault as f64 / f.banks as f64),
    ("variance / mean per block RAM", 17.1, |f| f.dispersion_per_bank().unwrap()),
    ("share in columns of 5 or more", 0.64, |f| f.share_in_crowded_columns().unwrap()),
];

/// The real chip is an ordinary one of the population: every figure lies within three standard deviations of
/// its chips.
#[test]
fn the_real_chip_could_be_one_of_the_population() {
    let shares = VarianceShares::with_cell_as_rest(0.0, 0.046, 0.368, 0.156).unwrap();
    let chips = figures(shares);
    let mut table = String::new();
    let mut strange = Vec::new();
    let mut compare = |what: String, measured: f64, Spread { mean, sigma }: Spread| {
        table += &format!("{what:32} {measured:8.3} {mean:8.3} {sigma:8.3}\n");
        if (measured - mean).abs() > 3.0 * sigma {
            strange.push(what);
        }
    };
    for (i, vdd) in VDD_MV.iter().enumerate() {
        compare(format!("faults at {vdd} mV"), MEASURED[i], spread(chips.iter().map(|c| c.0[i])));
    }
    for (what, measured, figure) in FIGURES {
        compare(what.to_owned(), measured, spread(chips.iter().map(|c| figure(&c.1))));
    }
    assert!(strange.is_empty(), "{strange:?}\nfigure, measured, mean, sigma of chips:\n{table}");

    // The expected number of faults follows from the rate alone, whatever the shares.
    for (i, &vdd) in VDD_MV.iter().enumerate() {
        let Spread { mean, sigma } = spread(chips.iter().map(|c| c.0[i]));
        let expected = 7_290_880.0 * threshold(vdd).rate();
        let bound = 4.0 * sigma.max(expected.sqrt()) / (CHIPS as f64).sqrt();
        assert!((mean - expected).abs() < bound, "{vdd}: {mean}, not {expected}\n{table}");
    }
}

/// Independent cells are the wrong model of it: of the same number of faults they hit more than three
/// times as many columns, and no column has more than a few.
#[test]
fn independent_cells_look_nothing_like_it() {
    for (_, figures) in figures(VarianceShares::INDEPENDENT) {
        assert!(figures.columns_hit > 850, "{figures:?}");
        assert!(figures.max_per_column <= 4, "{figures:?}");
        assert!(figures.dispersion_per_bank().unwrap() < 1.3, "{figures:?}");
        assert!(figures.banks_without_fault < 400, "{figures:?}");
    }
}
