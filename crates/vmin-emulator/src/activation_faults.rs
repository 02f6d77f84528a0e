//! What the activation memory of a chip does to the tensors that lie in it.

use vmin_accel::placement::{ActivationPlacement, PlacedActivation};
use vmin_nn::TensorId;
use vmin_sram::{Applied, ChipKey, FaultKind, FaultyCell, random_bits};

/// Bits of an activation code.
const BITS: u64 = 8;

/// The code read is `(stored & keep) ^ turn`.
#[derive(Clone, Copy, Debug)]
struct CodeFault {
    index: usize,
    keep: u8,
    turn: u8,
}

/// What a cell does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CellFault {
    Inverts,
    Holds(bool),
}

/// Hits on the bits of a tensor (rising) as faults of its codes.
fn by_code(hits: &[(u64, CellFault)]) -> Vec<CodeFault> {
    let mut codes: Vec<CodeFault> = Vec::new();
    for &(bit, cell) in hits {
        // A bit inside a tensor has a usize index.
        let (index, mask) = ((bit / BITS) as usize, 1_u8 << (bit % BITS));
        if codes.last().is_none_or(|code| code.index != index) {
            codes.push(CodeFault { index, keep: u8::MAX, turn: 0 });
        }
        let Some(code) = codes.last_mut() else { continue };
        match cell {
            CellFault::Inverts => code.turn |= mask,
            CellFault::Holds(value) => {
                code.keep &= !mask;
                code.turn |= if value { mask } else { 0 };
            }
        }
    }
    codes
}

/// True for what is not to be hit, and for a reshaped tensor, which was changed under its first name.
fn is_spared(placed: &PlacedActivation, tensor: usize, spared: Option<TensorId>) -> bool {
    placed.owner != tensor || spared.is_some_and(|spared| spared.0 == tensor)
}

/// Faults of the activation memory, sorted out by tensor. Those of one inference are lasting: a tensor that
/// is read many times is wrong in the same way each time, so it is changed once, when it is written.
#[derive(Clone, Debug)]
pub struct ActivationFaults {
    tensors: Vec<Vec<CodeFault>>,
}

impl ActivationFaults {
    /// Faults under the tensors that `placement` places, but for `spared`: the input, where that is not to
    /// be hit.
    #[must_use]
    pub fn new(
        placement: &ActivationPlacement,
        faults: &[FaultyCell],
        kind: FaultKind,
        spared: Option<TensorId>,
    ) -> Self {
        Self::of_parts(placement, &[(faults, kind)], spared)
    }

    /// As [`Self::new`] where cells err in different ways; no cell may be in two lists.
    #[must_use]
    pub fn of_parts(
        placement: &ActivationPlacement,
        parts: &[(&[FaultyCell], FaultKind)],
        spared: Option<TensorId>,
    ) -> Self {
        let cells = placement.geometry.cells();
        let of_tensor = |(tensor, placed): (usize, &PlacedActivation)| {
            if is_spared(placed, tensor, spared) {
                return Vec::new();
            }
            let length = placed.codes * BITS;
            let mut hits: Vec<(u64, CellFault)> = Vec::new();
            for &(faults, kind) in parts {
                for fault in faults.iter().filter(|fault| fault.address < cells) {
                    let cell = match kind {
                        FaultKind::Flip => CellFault::Inverts,
                        FaultKind::StuckAt => CellFault::Holds(fault.preferred),
                    };
                    // The first bit that lies there, then every time the tensor comes round.
                    let mut bit = (fault.address + cells - placed.first_bit % cells) % cells;
                    while bit < length {
                        hits.push((bit, cell));
                        bit += cells;
                    }
                }
            }
            hits.sort_unstable();
            by_code(&hits)
        };
        Self { tensors: placement.tensors.iter().enumerate().map(of_tensor).collect() }
    }

    /// Each bit of each tensor inverted with probability `rate`, as it is written for one image.
    #[must_use]
    pub fn drawn(
        placement: &ActivationPlacement,
        rate: f64,
        key: ChipKey,
        image: u64,
        spared: Option<TensorId>,
    ) -> Self {
        let of_tensor = |(number, placed): (u32, &PlacedActivation)| {
            let mut hits = Vec::new();
            if !is_spared(placed, number as usize, spared) {
                let bits = placed.codes * BITS;
                random_bits(bits, rate, key, image, number, |bit| {
                    hits.push((bit, CellFault::Inverts));
                });
            }
            by_code(&hits)
        };
        Self { tensors: (0..).zip(&placement.tensors).map(of_tensor).collect() }
    }

    /// True if no tensor lies on a faulty cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.iter().all(Vec::is_empty)
    }

    /// Makes of what was written to a tensor what is read of it.
    ///
    /// # Panics
    /// If `codes` is not a tensor of the graph that was placed.
    pub fn apply(&self, tensor: TensorId, codes: &mut [i8]) -> Applied {
        let mut applied = Applied::default();
        for fault in &self.tensors[tensor.0] {
            let stored = codes[fault.index].cast_unsigned();
            let read = stored & fault.keep ^ fault.turn;
            let cells = !fault.keep | fault.turn;
            applied.cells_hit += u64::from(cells.count_ones());
            applied.bits_flipped += u64::from((stored ^ read).count_ones());
            codes[fault.index] = read.cast_signed();
        }
        applied
    }
}
