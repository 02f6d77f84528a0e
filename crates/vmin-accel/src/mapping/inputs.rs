//! Inputs that come from DRAM while a layer runs: how many must be in the activation memory at once, and how
//! many are fetched.
//!
//! ```text
//!  slide   inputs come in the order of the image and leave in the same order; the memory holds the
//!          stretch from the first that a tile needs to the last. Each is fetched once.
//!  band    as wide as a tile of one row of outputs, as high as the kernel; it moves along the row.
//!          Inputs are fetched again for each row of outputs that needs them.
//!  none    nothing is used twice: each row of the activation matrix is fetched for each block of columns.
//! ```

use crate::scalesim::Window;
use crate::{GemmShape, Layer};

/// A way to pass the inputs of one group through the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Inputs in the memory at once.
    pub room: u64,
    /// Inputs fetched in one pass.
    pub fetched: u64,
}

/// Inputs of one group.
pub(super) const fn of_group(layer: &Layer, shape: GemmShape) -> u64 {
    layer.inputs.div_ceil(shape.groups())
}

/// The ways of tiles of `m_tile` outputs, the one that fetches least first.
pub(super) fn ways(layer: &Layer, shape: GemmShape, m_tile: u64) -> [Option<Way>; 2] {
    let own = of_group(layer, shape);
    let Some(window) = &layer.window else {
        // Rows of the matrix; neighbours share nothing.
        let row = shape.k();
        let fetched = shape.m().saturating_mul(row);
        return [Some(Way { room: m_tile.saturating_mul(row), fetched }), None];
    };
    let slide = Way { room: stretch(window, m_tile, layer.images), fetched: own };
    [Some(slide), band(window, m_tile, layer.images)]
}

/// Inputs from the first that a tile needs to the last, for the tile with most.
pub(super) fn stretch(window: &Window, m_tile: u64, images: u64) -> u64 {
    let [_, columns] = window.output;
    let [height, width] = window.input;
    let (pixels, last) = (window.count(), m_tile - 1);
    let (down, across) = (window.stride[0].saturating_mul(width), window.stride[1]);
    let (rows, rest) = (last / columns, last % columns);
    let mut span = rows.saturating_mul(down).saturating_add(rest * across);
    // Unless tiles begin and end with rows, one of them reaches around the end of a row.
    let aligned = m_tile.is_multiple_of(columns) || columns.is_multiple_of(m_tile);
    if !aligned && rest > 0 {
        let around = (rows + 1).saturating_mul(down).saturating_sub((columns - rest) * across);
        span = span.max(around);
    }
    // From one image to the next there are the rows that no output begins with.
    if images > 1 {
        let between = height.saturating_sub(window.output[0] * window.stride[0]) * width;
        span = span.saturating_add((last / pixels + 1).min(images - 1).saturating_mul(between));
    }
    let [reach_down, reach_across] = reach(window);
    span.saturating_add((reach_down - 1) * width + reach_across)
        .min(height.saturating_mul(width).saturating_mul(images))
        .saturating_mul(window.channels)
}

fn reach(window: &Window) -> [u64; 2] {
    [0, 1].map(|axis: usize| (window.kernel[axis] - 1) * window.dilation[axis] + 1)
}

/// Tiles that are a part of one row of outputs.
fn band(window: &Window, m_tile: u64, images: u64) -> Option<Way> {
    let [rows, columns] = window.output;
    let [reach_down, reach_across] = reach(window);
    let wide = |outputs: u64| (outputs - 1) * window.stride[1] + reach_across;
    columns.is_multiple_of(m_tile).then(|| Way {
        room: reach_down.saturating_mul(wide(m_tile)).saturating_mul(window.channels),
        fetched: (rows * images)
            .saturating_mul(reach_down.saturating_mul(wide(columns)))
            .saturating_mul(window.channels),
    })
}
