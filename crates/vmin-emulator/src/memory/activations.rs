//! Activations as the memory gives them back.

use vmin_accel::placement::{ActivationPlacement, PlacedActivation};
use vmin_nn::{Graph, TensorId};
use vmin_protection::store::Storage;
use vmin_protection::words::{
    CodeBit, Faults, OneTensor, Scheme, Stored, Stores, TowardZero, compile,
};
use vmin_sram::{Applied, CellEffect, Fault, FaultKind, FaultyCell, random_bits};

use super::contents::Contents;
use super::{Arrays, Powered};
use crate::source::{Errors, faults};

/// Bits of an activation code.
const BITS: u8 = 8;

/// True for what is not to be hit, and for a reshaped tensor, which was changed under its first name.
fn is_spared(placed: &PlacedActivation, tensor: usize, spared: Option<TensorId>) -> bool {
    placed.owner != tensor || spared.is_some_and(|spared| spared.0 == tensor)
}

/// Faults of the activation memory, sorted out by tensor. Those of one inference are lasting: a tensor that
/// is read many times is wrong in the same way each time, so it is changed once, when it is written.
#[derive(Debug)]
pub struct ActivationFaults<'m> {
    /// Of each tensor, one entry per piece.
    tensors: Vec<Vec<Faults>>,
    scheme: &'m Scheme,
    stored: &'m [Stored],
}

/// Bits of a tensor by their own number.
struct InTensor(usize);

impl Stores for InTensor {
    fn held(&self, bit: u64) -> Option<CodeBit> {
        let (code, bit) = (bit / u64::from(BITS), (bit % u64::from(BITS)) as u8);
        Some(CodeBit { tensor: self.0, code: usize::try_from(code).ok()?, bit })
    }
}

fn plain(tensor: usize, hits: &[Fault]) -> Vec<Faults> {
    vec![compile(&Scheme::Plain, &InTensor(tensor), &[], hits, &[])]
}

impl ActivationFaults<'static> {
    /// Faults under the tensors that `placement` places, but for `spared`: the input, where that is not to
    /// be hit.
    #[must_use]
    pub fn new(
        placement: &ActivationPlacement,
        cells: &[FaultyCell],
        kind: FaultKind,
        spared: Option<TensorId>,
    ) -> Self {
        Self::of_parts(placement, &[(cells, kind)], spared)
    }

    /// As [`Self::new`] where cells err in different ways; no cell may be in two lists.
    #[must_use]
    pub fn of_parts(
        placement: &ActivationPlacement,
        parts: &[(&[FaultyCell], FaultKind)],
        spared: Option<TensorId>,
    ) -> Self {
        let parts: Vec<_> = parts.iter().map(|&(cells, kind)| (cells.into(), kind)).collect();
        Self::plain(placement, &faults(&parts), spared)
    }

    fn plain(placement: &ActivationPlacement, all: &[Fault], spared: Option<TensorId>) -> Self {
        let cells = placement.geometry.cells();
        let of_tensor = |(tensor, placed): (usize, &PlacedActivation)| {
            if is_spared(placed, tensor, spared) {
                return Vec::new();
            }
            let length = placed.codes * u64::from(BITS);
            let mut hits: Vec<Fault> = Vec::new();
            for fault in all.iter().filter(|fault| fault.address < cells) {
                // The first bit that lies there, then every time the tensor comes round.
                let mut bit = (fault.address + cells - placed.first_bit % cells) % cells;
                while bit < length {
                    hits.push(Fault { address: bit, effect: fault.effect });
                    bit += cells;
                }
            }
            plain(tensor, &hits)
        };
        let tensors = placement.tensors.iter().enumerate().map(of_tensor).collect();
        Self { tensors, scheme: &Scheme::Plain, stored: &[] }
    }
}

/// How the bits of activations are stored; their values are not known when that is decided.
pub(crate) fn storage<'a>(
    placement: &ActivationPlacement,
    contents: &[Vec<Contents<'_>>],
    powered: &'a Powered<'_>,
    spared: Option<TensorId>,
) -> &'a Storage {
    let all = contents.iter().zip(&placement.tensors).enumerate();
    let written = all.filter(|(tensor, (_, placed))| !is_spared(placed, *tensor, spared));
    let written = written.flat_map(|(_, (pieces, _))| pieces).cloned();
    powered.storage(&written.collect::<Vec<_>>(), None)
}

/// The activation memory at a read.
pub(crate) fn read<'a>(
    placement: &ActivationPlacement,
    contents: &[Vec<Contents<'_>>],
    powered: &'a Powered<'_>,
    spared: Option<TensorId>,
    read: u64,
) -> ActivationFaults<'a> {
    let Arrays { protected, reads, .. } = powered.arrays;
    if powered.is_plain()
        && let [(_, errors)] = &powered.at.data[..]
    {
        let Errors::AnyBit(rate) = errors else {
            return ActivationFaults::plain(
                placement,
                &faults(&errors.at_read(*reads, read)),
                spared,
            );
        };
        let of_tensor = |(number, placed): (u32, &PlacedActivation)| {
            let mut hits = Vec::new();
            if !is_spared(placed, number as usize, spared) {
                let bits = placed.codes * u64::from(BITS);
                random_bits(bits, *rate, *reads, read, number, |bit| {
                    hits.push(Fault { address: bit, effect: CellEffect::Inverts });
                });
            }
            plain(number as usize, &hits)
        };
        let tensors = (0..).zip(&placement.tensors).map(of_tensor).collect();
        return ActivationFaults { tensors, scheme: &Scheme::Plain, stored: &[] };
    }
    let storage = storage(placement, contents, powered, spared);
    let of_tensor = |(tensor, placed): (usize, &PlacedActivation)| {
        if is_spared(placed, tensor, spared) {
            return Vec::new();
        }
        contents[tensor].iter().map(|piece| powered.compiled(piece, read, storage)).collect()
    };
    let tensors = placement.tensors.iter().enumerate().map(of_tensor).collect();
    ActivationFaults { tensors, scheme: &protected.stages.scheme, stored: &protected.stored }
}

impl ActivationFaults<'_> {
    /// True if no tensor lies on a faulty cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.iter().flatten().all(Faults::is_empty)
    }

    /// Makes of what was written to a tensor what is read of it.
    ///
    /// # Panics
    /// If `codes` is not a tensor of the graph that was placed.
    pub fn apply(&self, tensor: TensorId, codes: &mut [i8]) -> Applied {
        let mut applied = Applied::default();
        for piece in &self.tensors[tensor.0] {
            let done = piece.read(self.scheme, self.stored, &mut OneTensor(codes));
            applied += Applied { cells_hit: done.cells_hit, bits_flipped: done.bits_flipped };
        }
        applied
    }
}

/// Codes of the activation tensors of a network, with their zeros.
pub(crate) fn stored(graph: &Graph) -> Vec<Stored> {
    let of = |tensor: &vmin_nn::Tensor| Stored {
        codes: tensor.elements(),
        bits: BITS,
        // A zero point is a code of 8 bits.
        zeros: vec![u32::from((tensor.quantization.zero_point as i8).cast_unsigned())],
        toward_zero: TowardZero::SignBit,
    };
    graph.tensors.iter().map(of).collect()
}

/// The contents of the activation memory, per tensor.
pub(crate) fn contents(placement: &ActivationPlacement) -> Vec<Vec<Contents<'static>>> {
    let pieces = |tensor| Contents::of_activation(placement, tensor, BITS.into());
    (0..placement.tensors.len()).map(pieces).collect()
}
