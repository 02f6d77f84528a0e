//! The rate over the voltage on a scale where a Gaussian is a straight line.

use std::fmt::Write;

use vmin_sram::fit::{CurvePoint, Fit};
use vmin_sram::normal;

use super::{WIDTH, heading, picture, text};
use crate::colors::{BLUE, FAINT, GRID, INK, ORANGE, hex};

const TITLE: &str = "Cell-fault rate over the supply voltage";
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 108.0;
const BOTTOM: f64 = 420.0;
/// Steps between voltage labels, in mV.
const STEPS_MV: [f64; 12] =
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];

/// Measured rates with their expected scatter, the fitted curve and its 95 % band.
#[must_use]
pub fn probit(fit: &Fit) -> String {
    let (Some(first), Some(last)) = (fit.curve.first(), fit.curve.last()) else {
        return picture(HEIGHT, TITLE, "");
    };
    let (v_low, v_high) = (first.vdd_mv.min(last.vdd_mv), first.vdd_mv.max(last.vdd_mv));
    let points = points(fit);
    let ends = points.iter().flat_map(|p| [p.low, p.high]);
    let band = fit.curve.iter().flat_map(|p| [p.z.low, p.z.high]);
    let (z_low, z_high) = ends
        .chain(band)
        .filter(|z| z.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), z| (low.min(z), high.max(z)));
    // No memory shows rates below 1e-12.
    let (z_low, z_high) = (z_low.max(-7.0) - 0.1, z_high.min(1.5) + 0.1);
    let x = |vdd: f64| LEFT + (vdd - v_low) / (v_high - v_low) * (WIDTH - 40.0 - LEFT);
    let y = |z: f64| BOTTOM - (z.clamp(z_low, z_high) - z_low) / (z_high - z_low) * (BOTTOM - TOP);
    let (below, blue, orange) = (caption(fit), hex(BLUE), hex(ORANGE));
    let mut body = heading(TITLE, &below);
    axes(&mut body, (v_low, v_high), (z_low, z_high), &x, &y);
    let mut outline = String::new();
    let low = fit.curve.iter().map(|point| (point.vdd_mv, point.z.low));
    let high = fit.curve.iter().rev().map(|point| (point.vdd_mv, point.z.high));
    for (vdd, z) in low.chain(high) {
        let letter = if outline.is_empty() { 'M' } else { 'L' };
        let _ = write!(outline, "{letter}{:.1} {:.1}", x(vdd), y(z));
    }
    let _ = writeln!(body, "<path d=\"{outline}z\" fill=\"{blue}\" fill-opacity=\"0.15\"/>");
    let line = |point: &CurvePoint| (x(point.vdd_mv), y(point.z.value));
    let (from, to) = (line(first), line(last));
    let _ = writeln!(
        body,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{blue}\" stroke-width=\"2\" fill=\"none\"/>",
        from.0, from.1, to.0, to.1
    );
    for point in &points {
        let (at, middle) = (x(point.vdd_mv), y(point.z));
        let _ = writeln!(
            body,
            "<path d=\"M{at:.1} {:.1}V{:.1}\" stroke=\"{orange}\" stroke-width=\"1.5\" \
             fill=\"none\"/>\n<circle cx=\"{at:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"{orange}\"/>",
            y(point.low),
            y(point.high)
        );
    }
    legend(&mut body, fit);
    picture(HEIGHT, &format!("{TITLE}: {below}"), &body)
}

struct Point {
    vdd_mv: f64,
    z: f64,
    low: f64,
    high: f64,
}

/// Measured rates; the bars are two standard deviations of the simulated counts either way.
fn points(fit: &Fit) -> Vec<Point> {
    fit.goodness
        .levels
        .iter()
        .filter(|level| level.faults > 0)
        .map(|level| {
            let cells = level.cells as f64;
            let z = |faults: f64| normal::quantile((faults.max(0.02) / cells).min(0.999));
            let faults = level.faults as f64;
            let spread = 2.0 * level.faults_sigma * faults / level.faults_fitted.max(0.01);
            // On this scale, small counts scatter downwards as much as upwards.
            let factor = 1.0 + spread / faults;
            Point {
                vdd_mv: level.vdd_mv,
                z: z(faults),
                low: z(faults / factor),
                high: z(faults * factor),
            }
        })
        .collect()
}

fn caption(fit: &Fit) -> String {
    let (mu, sigma) = (&fit.mu_mv, &fit.sigma_within_mv);
    let dies = match &fit.die_sigma_mv {
        Some(die) => format!("; from die to die {:.1} mV", die.value),
        None => String::new(),
    };
    format!(
        "mu {:.1} mV ({:.1} to {:.1}), sigma {:.1} mV ({:.1} to {:.1}) within a die{dies}; chips: {}",
        mu.value, mu.low, mu.high, sigma.value, sigma.low, sigma.high, fit.chips
    )
}

fn axes(
    body: &mut String,
    (v_low, v_high): (f64, f64),
    (z_low, z_high): (f64, f64),
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(f64) -> f64,
) {
    let rates =
        [1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9];
    let grid = hex(GRID);
    let mut drawn: Option<f64> = None;
    for rate in rates {
        let z = normal::quantile(rate);
        if z < z_low || z > z_high || drawn.is_some_and(|below| below - y(z) < 16.0) {
            continue;
        }
        drawn = Some(y(z));
        let at = y(z);
        let _ = writeln!(
            body,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"{grid}\" fill=\"none\"/>",
            WIDTH - 40.0
        );
        let name = if rate < 1e-2 { format!("{rate:.0e}") } else { rate.to_string() };
        body.push_str(&text(LEFT - 8.0, at + 4.0, 12, FAINT, "end", &name));
    }
    let step = STEPS_MV.iter().find(|&&step| (v_high - v_low) / step <= 12.0).unwrap_or(&5000.0);
    let mut vdd = (v_low / step).ceil() * step;
    while vdd <= v_high {
        let at = x(vdd);
        let _ =
            writeln!(body, "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"{grid}\" fill=\"none\"/>");
        body.push_str(&text(at, BOTTOM + 18.0, 12, FAINT, "middle", &vdd.to_string()));
        vdd += step;
    }
    body.push_str(&text(
        24.0,
        TOP - 16.0,
        13,
        INK,
        "start",
        "share of faulty cells (probit scale)",
    ));
    body.push_str(&text(
        (LEFT + WIDTH - 40.0) / 2.0,
        BOTTOM + 42.0,
        13,
        INK,
        "middle",
        "supply voltage (mV)",
    ));
}

fn legend(body: &mut String, fit: &Fit) {
    let (y, blue, orange) = (TOP - 16.0, hex(BLUE), hex(ORANGE));
    let counted = match fit.chips {
        1 => "this chip, ± 2 sigma of chance".to_owned(),
        chips => format!("{chips} chips, ± 2 sigma of chance"),
    };
    let _ = writeln!(
        body,
        "<circle cx=\"{}\" cy=\"{}\" r=\"4\" fill=\"{orange}\"/>\n<path d=\"M{} {}h22\" stroke=\"{blue}\" \
         stroke-width=\"2\"/>\n<rect x=\"{}\" y=\"{}\" width=\"22\" height=\"12\" fill=\"{blue}\" \
         fill-opacity=\"0.15\"/>",
        WIDTH - 548.0,
        y - 4.0,
        WIDTH - 320.0,
        y - 4.0,
        WIDTH - 168.0,
        y - 10.0
    );
    let names = [
        (WIDTH - 536.0, counted.as_str()),
        (WIDTH - 290.0, "fitted Gaussian"),
        (WIDTH - 140.0, "95 % band"),
    ];
    for (x, name) in names {
        body.push_str(&text(x, y, 13, INK, "start", name));
    }
}
