//! The map of the faults of a chip.

use std::fmt::Write;

use vmin_sram::{FaultyCell, Geometry};

use super::{WIDTH, heading, picture, text};
use crate::colors::{FAINT, FIELD, GRID, SHADES, hex};

/// Most squares of a map; only those with a fault are drawn.
const BINS_MAX: u32 = 60_000;
/// Most tiles; where there are more banks, several share one.
const TILES_MAX: u32 = 12_000;
/// Faults of one square from which a shade is used.
const LEAST: [u64; SHADES.len()] = [1, 2, 4, 16, 64];
const MARGIN: f64 = 24.0;
const TOP: f64 = 72.0;

/// The tiles (of one bank, or several) and squares of a memory.
struct Grid {
    banks_per_tile: u32,
    tiles: u32,
    tiles_across: u32,
    across: u32,
    down: u32,
}

impl Grid {
    fn of(geometry: Geometry) -> Self {
        let banks_per_tile = geometry.banks().div_ceil(TILES_MAX);
        let tiles = geometry.banks().div_ceil(banks_per_tile);
        let bins = BINS_MAX / tiles;
        // Columns first: faults crowd along them.
        let across = geometry.columns().min(if tiles == 1 { 400 } else { bins.max(1) });
        let down = geometry.rows().min((bins / across).max(1));
        // Rounded: a few tiles at most.
        let tiles_across = ((1.6 * f64::from(tiles)).sqrt().ceil() as u32).clamp(1, tiles);
        Self { banks_per_tile, tiles, tiles_across, across, down }
    }
}

/// A map of the faults: a tile per bank, rows downwards, columns across, darker where a square of it holds
/// more faults.
#[must_use]
pub fn map(title: &str, geometry: Geometry, faults: &[FaultyCell]) -> String {
    let grid = Grid::of(geometry);
    let tile = (WIDTH - 2.0 * MARGIN) / f64::from(grid.tiles_across);
    let gap = (tile * 0.08).min(4.0);
    // A single tile would be too tall for the page.
    let tile_height = if grid.tiles_across == 1 { tile * 0.6 } else { tile };
    let (width, height) =
        ((tile - gap) / f64::from(grid.across), (tile_height - gap) / f64::from(grid.down));
    let corner = |index: u32| {
        let (x, y) = (index % grid.tiles_across, index / grid.tiles_across);
        (MARGIN + f64::from(x) * tile, TOP + f64::from(y) * tile_height)
    };
    let below = caption(&grid, geometry, faults.len());
    let mut body = heading(title, &below);
    let _ = write!(body, "<path fill=\"{}\" d=\"", hex(FIELD));
    for index in 0..grid.tiles {
        let (x, y) = corner(index);
        let (w, h) = (tile - gap, tile_height - gap);
        let _ = write!(body, "M{x:.2} {y:.2}h{w:.2}v{h:.2}h-{w:.2}z");
    }
    body.push_str("\"/>\n");
    let bins = bins(&grid, geometry, faults);
    for (class, (least, color)) in LEAST.iter().zip(SHADES).enumerate() {
        let next = LEAST.get(class + 1).copied().unwrap_or(u64::MAX);
        let mut path = String::new();
        for &(index, row, column, _) in bins.iter().filter(|bin| (*least..next).contains(&bin.3)) {
            let (left, top) = corner(index);
            let (x, y) = (left + f64::from(column) * width, top + f64::from(row) * height);
            // At least a pixel, so that a single fault is visible.
            let (w, h) = (width.max(1.2), height.max(1.2));
            let _ = write!(path, "M{x:.2} {y:.2}h{w:.2}v{h:.2}h-{w:.2}z");
        }
        if !path.is_empty() {
            let _ = writeln!(body, "<path fill=\"{}\" d=\"{path}\"/>", hex(color));
        }
    }
    let bottom = TOP + f64::from(grid.tiles.div_ceil(grid.tiles_across)) * tile_height;
    body.push_str(&legend(bottom + 24.0));
    picture((bottom + 48.0).ceil(), &format!("{title}: {below}"), &body)
}

fn caption(grid: &Grid, geometry: Geometry, faults: usize) -> String {
    let tiles = if grid.banks_per_tile == 1 {
        "one tile per bank".to_owned()
    } else {
        format!("one tile per {} banks", grid.banks_per_tile)
    };
    let (rows, columns) = (geometry.rows(), geometry.columns());
    let square = (rows.div_ceil(grid.down), columns.div_ceil(grid.across));
    format!(
        "{faults} faulty of {} cells; {tiles} of {rows} rows (down) x {columns} columns (across); a square is \
         {} x {} cells",
        geometry.cells(),
        square.0,
        square.1
    )
}

/// Squares with faults as (tile, row, column, faults), in order.
fn bins(grid: &Grid, geometry: Geometry, faults: &[FaultyCell]) -> Vec<(u32, u32, u32, u64)> {
    let scale = |place: u32, parts: u32, of: u32| {
        u32::try_from(u64::from(place) * u64::from(parts) / u64::from(of)).unwrap_or(0)
    };
    let mut places: Vec<(u32, u32, u32)> = faults
        .iter()
        .filter_map(|fault| geometry.position(fault.address))
        .map(|place| {
            (
                place.bank / grid.banks_per_tile,
                scale(place.row, grid.down, geometry.rows()),
                scale(place.column, grid.across, geometry.columns()),
            )
        })
        .collect();
    places.sort_unstable();
    places
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0].0, same[0].1, same[0].2, same.len() as u64))
        .collect()
}

fn legend(y: f64) -> String {
    let mut body = text(MARGIN, y, 13, FAINT, "start", "faults in a square:");
    let mut x = MARGIN + 130.0;
    for (class, (least, color)) in LEAST.iter().zip(SHADES).enumerate() {
        let (color, edge) = (hex(color), hex(GRID));
        let name = match LEAST.get(class + 1) {
            Some(next) if *next == least + 1 => least.to_string(),
            Some(next) => format!("{least} to {}", next - 1),
            None => format!("{least} or more"),
        };
        let _ = writeln!(
            body,
            "<rect x=\"{x}\" y=\"{:.1}\" width=\"14\" height=\"14\" fill=\"{color}\" stroke=\"{edge}\"/>",
            y - 11.0
        );
        body.push_str(&text(x + 20.0, y, 13, FAINT, "start", &name));
        x += 100.0;
    }
    body
}
