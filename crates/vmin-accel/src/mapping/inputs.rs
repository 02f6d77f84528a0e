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

/// A way to pass inputs through the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Inputs of one group in the memory at once.
    pub room: u64,
    /// Inputs of all groups fetched in one pass.
    pub fetched: u64,
    /// Whether each of them is fetched once, in the order of the image.
    pub once: bool,
}

/// The ways of tiles of `m_tile` outputs, the one that fetches least first.
pub(super) fn ways(layer: &Layer, shape: GemmShape, m_tile: u64) -> [Option<Way>; 2] {
    let aligned = layer.window.as_ref().is_some_and(|window| is_aligned(window, m_tile));
    [Some(slide(layer, shape, m_tile, aligned)), band(layer, shape, m_tile)]
}

/// Whether tiles begin and end with rows of outputs, or rows with tiles.
pub(super) const fn is_aligned(window: &Window, m_tile: u64) -> bool {
    let [_, columns] = window.output;
    m_tile.is_multiple_of(columns) || columns.is_multiple_of(m_tile)
}

/// Inputs come and leave in the order of the image.
pub(super) fn slide(layer: &Layer, shape: GemmShape, m_tile: u64, aligned: bool) -> Way {
    match &layer.window {
        Some(window) => Way {
            room: stretch(window, m_tile, layer.images, aligned),
            fetched: layer.inputs,
            once: true,
        },
        // Rows of the matrix; neighbours share nothing.
        None => {
            let fetched = shape.m().saturating_mul(shape.k()).saturating_mul(shape.groups());
            let once = fetched == layer.inputs;
            Way { room: m_tile.saturating_mul(shape.k()), fetched, once }
        }
    }
}

/// Inputs from the first that a tile needs to the last, at most. A tile that is not aligned may reach around
/// the end of a row of outputs.
pub(super) fn stretch(window: &Window, m_tile: u64, images: u64, aligned: bool) -> u64 {
    let [_, columns] = window.output;
    let [height, width] = window.input;
    let (pixels, last) = (window.count(), m_tile - 1);
    let (down, across) = (window.stride[0].saturating_mul(width), window.stride[1]);
    let (rows, rest) = (last / columns, last % columns);
    let mut span = rows.saturating_mul(down).saturating_add(rest * across);
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

/// As high as the kernel, under tiles that are a part of one row of outputs.
pub(super) fn band(layer: &Layer, shape: GemmShape, m_tile: u64) -> Option<Way> {
    let window = layer.window.as_ref()?;
    let [rows, columns] = window.output;
    let [reach_down, reach_across] = reach(window);
    let wide = |outputs: u64| (outputs - 1) * window.stride[1] + reach_across;
    columns.is_multiple_of(m_tile).then(|| Way {
        room: reach_down.saturating_mul(wide(m_tile)).saturating_mul(window.channels),
        fetched: (rows * layer.images)
            .saturating_mul(reach_down.saturating_mul(wide(columns)))
            .saturating_mul(window.channels.saturating_mul(shape.groups())),
        once: false,
    })
}
