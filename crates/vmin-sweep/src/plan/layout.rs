//! The layout of an experiment, as maps from bits to cells.

use vmin_accel::placement::{AddressMap, AddressMapError};
use vmin_nn::Graph;
use vmin_sram::Geometry;

use crate::experiment::Layout;

/// One map per offset; otherwise the problem and its place in the file.
pub(super) fn layouts(
    layout: &Layout,
    moves_map: bool,
    geometry: Geometry,
    word_bits: u64,
    graph: &Graph,
) -> Result<Vec<AddressMap>, (std::ops::Range<usize>, String)> {
    if let Some(span) = &layout.reliable_columns {
        let mut widths = graph.weights.iter().map(|weights| weights.bits);
        let first = widths.next().unwrap_or(8);
        let alike = widths.all(|bits| bits == first);
        let columns = geometry.columns();
        if !alike || !columns.is_multiple_of(u32::from(first)) {
            let error = AddressMapError::Codes { bits: first, columns };
            return Err((span.clone(), error.to_string()));
        }
    }
    layout
        .offset_bits
        .iter()
        .map(|&offset_bits| {
            // The offset moves a measured map; the network over it stays.
            let offset_bits = if moves_map { 0 } else { offset_bits };
            if offset_bits >= geometry.cells() {
                let message = format!(
                    "an offset of {offset_bits} bits lies beyond the memory of {} bits",
                    geometry.cells()
                );
                return Err((layout.span.clone(), message));
            }
            AddressMap::new(geometry, word_bits, layout.interleaving, offset_bits)
                .map_err(|error| (layout.span.clone(), error.to_string()))
        })
        .collect()
}
