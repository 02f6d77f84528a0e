//! The answer as a page.

use vmin_report::{MonitorCurve, MonitorPage, MonitorPoint, MonitorStrategy, monitor_page};

use super::{Monitored, Point, text};
use crate::Failure;

/// Most ROC curves of the page: without bit errors, and some supplies.
const CURVES_MAX: usize = 5;

pub(super) fn page(of: &Monitored) -> Result<String, Failure> {
    let json = serde_json::to_string(of).map_err(std::io::Error::from)?;
    let point = |point: &Point| MonitorPoint {
        vdd_mv: point.vdd_mv,
        cell_fault_rate: point.cell_fault_rate,
        accepted: point.accepted_mean,
        accepted_min: point.accepted_min,
        rerr: point.rerr_mean,
        rerr_max: point.rerr_max,
        accepted_rerr: point.accepted_rerr_mean,
        accepted_rerr_interval: point.accepted_rerr_low.zip(point.accepted_rerr_high),
        accepted_rerr_max: point.accepted_rerr_max,
        roc_area: point.roc_area_mean,
        chips_rejections_up: point.chips_rejections_up,
        chips_over_budget: point.chips_over_budget,
        access_energy: point.access_energy,
    };
    let strategies = of.canary.strategies.iter().map(|strategy| MonitorStrategy {
        name: text::name(strategy),
        vdd_mv: strategy.vdd_mv,
        rejected: strategy.rejected,
        accepted_err: strategy.accepted_err_mean,
        accepted_err_max: strategy.accepted_err_max,
        chips_over_budget: strategy.chips_over_budget,
        access_energy: strategy.access_energy,
    });
    let points: Vec<MonitorPoint> = of.points.iter().map(point).collect();
    let strategies: Vec<MonitorStrategy> = strategies.collect();
    Ok(monitor_page(&MonitorPage {
        model: &of.model,
        data: &of.data,
        accelerator: &of.accelerator,
        profile: of.profile.as_deref(),
        chips: of.chips.len(),
        images: of.images,
        clean_err: of.clean.err,
        clean_accepted: of.clean.accepted,
        clean_accepted_err: of.clean.accepted_err,
        budget: of.accuracy_loss_max,
        points: &points,
        strategies: &strategies,
        roc: &curves(of),
        traces: &traces(of),
        in_time: (of.in_time.in_time, of.in_time.over_budget),
        sentences: &[text::threshold(of), text::rises(&of.in_time)],
        json: &json,
    }))
}

/// Curves without bit errors and at supplies spread over the list, the lowest last.
fn curves(of: &Monitored) -> Vec<MonitorCurve> {
    let last = of.points.len();
    let shown = (0..CURVES_MAX).map(|place| place * last / (CURVES_MAX - 1));
    let mut shown: Vec<usize> = shown.collect();
    shown.dedup();
    let name = |index: usize| match index.checked_sub(1) {
        None => "without bit errors".to_owned(),
        Some(index) => format!("{} mV", of.points[index].vdd_mv),
    };
    let curve = |index: usize| MonitorCurve { name: name(index), points: of.roc[index].curve() };
    shown.into_iter().map(curve).filter(|curve| !curve.points.is_empty()).collect()
}

/// The supplies of the chips with the lowest, the median and the highest mean supply.
fn traces(of: &Monitored) -> Vec<MonitorCurve> {
    let mut order: Vec<usize> = (0..of.chips.len()).collect();
    order.sort_by(|&a, &b| of.chips[a].canary.vdd_mv.total_cmp(&of.chips[b].canary.vdd_mv));
    let mut shown = vec![0, order.len() / 2, order.len() - 1];
    shown.dedup();
    let trace = |place: usize| {
        let chip = order[place];
        let name = of.chips[chip].chip_file.clone();
        let supplies = of.traces[chip].iter().enumerate();
        MonitorCurve {
            name: name.unwrap_or_else(|| format!("chip {}", of.chips[chip].chip)),
            points: supplies
                .map(|(window, &supply)| (window as f64, of.points[supply].vdd_mv))
                .collect(),
        }
    };
    shown.into_iter().map(trace).collect()
}
