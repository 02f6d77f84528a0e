//! Self-contained HTML reports of sweeps, design spaces, energy estimates and training runs.
//!
//! [`page`] turns [`Results`](vmin_sweep::Results) into one HTML file that opens offline: figures
//! are inline SVG, style is inline CSS, the page contains its data as JSON. The same results give the same
//! bytes, and names are escaped.
//!
//! [`accelerator::page`] does the same for cycles and traffic without inference (`vmin cycles`).
//!
//! `cargo run -p vmin-report --example chip_pictures` draws the pictures of a sampled chip. This crate
//! runs no experiments.

pub mod accelerator;
mod axis;
pub mod chip;
mod colors;
mod comparison;
mod energy;
mod exploration;
mod figures;
mod first_chip;
mod html;
mod memories;
mod monitor;
mod noise;
mod plot;
mod remedies;
mod stacked_bars;
mod strips;
mod training;

pub use comparison::{
    Compared, Over, SWEEPS_MAX as COMPARED_MAX, comparison_page, comparison_svg, not_ranked,
    voltages,
};
pub use energy::{EnergyAtVoltage, EnergyPage, energy_page};
pub use exploration::exploration_page;
pub use html::page;
pub use monitor::{MonitorCurve, MonitorPage, MonitorPoint, MonitorStrategy, monitor_page};
pub use noise::{NoiseBudget, NoisePage, NoiseRow, noise_page};
pub use strips::Strip;
pub use training::{TrainingEpoch, TrainingPage, training_page};
