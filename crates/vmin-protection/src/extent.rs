//! What a protection comes to in given memories: mechanisms without effect, and rails in whole banks.

use vmin_accel::{Memory, PerMemory};

use crate::mechanism::Effect;
use crate::rails::{Rail, RailCells, banks_on_rail};
use crate::{ProtectedAt, Protection};

/// What a memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Width of its widest code, in bits.
    pub code_bits: u8,
    /// Banks that hold something.
    pub banks_used: u32,
}

impl Protection {
    /// Remarks on mechanisms in memories of these extents at these operating points.
    ///
    /// # Errors
    /// Why a mechanism changes nothing there, or protects other cells than it says.
    pub fn remarks(
        &self,
        extents: &PerMemory<Extent>,
        points: &[&PerMemory<Option<ProtectedAt>>],
    ) -> Result<Vec<String>, String> {
        let mut remarks = Vec::new();
        for (_, memory) in Memory::ALL {
            let at: Vec<&ProtectedAt> =
                points.iter().filter_map(|point| point.get(memory).as_ref()).collect();
            // A memory at the nominal voltage makes no errors.
            if at.is_empty() {
                continue;
            }
            let mut number = 0;
            for mechanism in self.of(memory) {
                let Effect::Rail(rail) = mechanism.effect(8) else { continue };
                let words = format!("`{}` of the {} memory", mechanism.kind(), memory.word());
                remarks.extend(cells_of(&rail, &words, *extents.get(memory))?);
                remarks.extend(supply_of(&rail, number, &words, &at)?);
                number += 1;
            }
        }
        Ok(remarks)
    }
}

/// Checks the cells of a rail against those of its memory.
fn cells_of(rail: &Rail, words: &str, extent: Extent) -> Result<Option<String>, String> {
    let Extent { code_bits, banks_used } = extent;
    match &rail.cells {
        RailCells::All | RailCells::Layers(_) => Ok(None),
        RailCells::TopBits(bits) if *bits > code_bits => {
            Err(format!("{words} names {bits} bits of codes that have {code_bits}"))
        }
        RailCells::TopBits(_) => Ok(None),
        RailCells::WeakestBanks(share) => {
            let count = banks_on_rail(*share, banks_used);
            let banks = if banks_used == 1 { "bank that holds" } else { "banks that hold" };
            let of = format!("{} % of {banks_used} {banks} something", share * 100.0);
            if count == banks_used {
                return Err(format!(
                    "{words} would raise the whole memory: {of}, rounded up, is all"
                ));
            }
            Ok(Some(format!("{words} raises {count} of {banks_used} banks: {of}, rounded up")))
        }
    }
}

/// Checks the supply of rail `number` of a memory at its operating points.
fn supply_of(
    rail: &Rail,
    number: usize,
    words: &str,
    at: &[&ProtectedAt],
) -> Result<Option<String>, String> {
    let idle = at.iter().filter(|at| !at.access.raises(rail, number));
    let idle: Vec<String> = idle.map(|at| at.access.base().vdd_mv.to_string()).collect();
    let idle_words = idle.join(", ");
    match idle.len() {
        0 => Ok(None),
        all if all == at.len() => Err(format!(
            "{words} changes nothing: its supply is never above that of the memory ({idle_words} mV)"
        )),
        _ => Ok(Some(format!(
            "{words} changes nothing where the memory's supply is as high: at {idle_words} mV"
        ))),
    }
}
