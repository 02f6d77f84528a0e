//! Weights as they come through a small buffer with faulty cells.

use vmin_sram::{Applied, ApplyError, FaultKind, FaultyCell};

use super::{StreamedPlacement, StreamedTensor};

impl StreamedPlacement {
    /// Corrupts the codes of every tensor load by load: the same cells hit each load that lies on them.
    ///
    /// # Errors
    /// Codes that are not those which were placed.
    ///
    /// # Panics
    /// If a tensor has fewer codes than were placed.
    pub fn apply<'c>(
        &self,
        faults: &[FaultyCell],
        kind: FaultKind,
        tensors: impl IntoIterator<Item = &'c mut [u8]>,
    ) -> Result<Applied, ApplyError> {
        let mut by_address = faults.to_vec();
        by_address.sort_unstable_by_key(|fault| fault.address);
        let mut applied = Applied::default();
        for (codes, tensor) in tensors.into_iter().zip(&self.tensors) {
            applied += apply_tensor(tensor, &by_address, kind, codes)?;
        }
        Ok(applied)
    }
}

fn apply_tensor(
    tensor: &StreamedTensor,
    by_address: &[FaultyCell],
    kind: FaultKind,
    codes: &mut [u8],
) -> Result<Applied, ApplyError> {
    let mut stream: Vec<u8> = tensor.order.iter().map(|&code| codes[code]).collect();
    let mut applied = Applied::default();
    for load in &tensor.loads {
        let end = load.first_bit + load.codes as u64 * u64::from(tensor.bits);
        let first = by_address.partition_point(|fault| fault.address < load.first_bit);
        let last = by_address.partition_point(|fault| fault.address < end);
        let part = &mut stream[load.first..load.first + load.codes];
        applied +=
            vmin_sram::apply(&by_address[first..last], kind, part, tensor.bits, load.first_bit)?;
    }
    for (&code, &read) in tensor.order.iter().zip(&stream) {
        codes[code] = read;
    }
    Ok(applied)
}
