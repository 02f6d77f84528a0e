//! What the activation memory of a chip does to the tensors that lie in it.

use vmin_accel::placement::ActivationPlacement;
use vmin_nn::TensorId;
use vmin_sram::{Applied, FaultKind, FaultyCell};

/// Bits of an activation code.
const BITS: u64 = 8;

/// The code read is `(stored & keep) ^ turn`.
#[derive(Clone, Copy, Debug)]
struct CodeFault {
    index: usize,
    keep: u8,
    turn: u8,
}

/// Persistent faults of the activation memory, sorted out by tensor. A tensor that is read many times
/// is wrong in the same way each time, so it is changed once, when it is written.
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
        let cells = placement.geometry.cells();
        let of_tensor = |(tensor, placed): (usize, &vmin_accel::placement::PlacedActivation)| {
            // A reshaped tensor was changed under its first name.
            if placed.owner != tensor || spared.is_some_and(|spared| spared.0 == tensor) {
                return Vec::new();
            }
            let length = placed.codes * BITS;
            let mut hits: Vec<(usize, u8, bool)> = Vec::new();
            for fault in faults.iter().filter(|fault| fault.address < cells) {
                // The first bit that lies there, then every time the tensor comes round.
                let mut bit = (fault.address + cells - placed.first_bit % cells) % cells;
                while bit < length {
                    // A bit inside a tensor has a usize index.
                    hits.push(((bit / BITS) as usize, 1 << (bit % BITS), fault.preferred));
                    bit += cells;
                }
            }
            hits.sort_unstable();
            let mut codes: Vec<CodeFault> = Vec::new();
            for (index, mask, preferred) in hits {
                if codes.last().is_none_or(|code| code.index != index) {
                    codes.push(CodeFault { index, keep: u8::MAX, turn: 0 });
                }
                let Some(code) = codes.last_mut() else { continue };
                match kind {
                    FaultKind::Flip => code.turn |= mask,
                    FaultKind::StuckAt => {
                        code.keep &= !mask;
                        code.turn |= if preferred { mask } else { 0 };
                    }
                }
            }
            codes
        };
        Self { tensors: placement.tensors.iter().enumerate().map(of_tensor).collect() }
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
