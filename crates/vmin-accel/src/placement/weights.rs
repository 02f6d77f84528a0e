//! Where the weights of a network lie: all at once, or one part after the other.

use vmin_sram::Geometry;

use super::{ResidentPlacement, StreamedPlacement};
use crate::Accelerator;
use crate::cycles::{Residence, Schedule};

/// The codes of a network in the weight memory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum WeightPlacement {
    /// All at once, at fixed addresses.
    Resident(ResidentPlacement),
    /// One part after the other.
    Streamed(StreamedPlacement),
}

impl WeightPlacement {
    /// The memory that is emulated.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        match self {
            Self::Resident(placement) => placement.geometry,
            Self::Streamed(placement) => placement.geometry,
        }
    }

    /// The placement, if all weights have addresses of their own.
    #[must_use]
    pub const fn resident(&self) -> Option<&ResidentPlacement> {
        match self {
            Self::Resident(placement) => Some(placement),
            Self::Streamed(_) => None,
        }
    }

    /// What the accelerator keeps between inferences.
    #[must_use]
    pub fn schedule(&self, accelerator: &Accelerator) -> Schedule {
        // What lies in the weight memory for good is not fetched for every inference.
        let weights = match self {
            Self::Resident(_) => Residence::Assumed,
            Self::Streamed(_) => Residence::Streamed,
        };
        Schedule { weights, ..Schedule::of(accelerator) }
    }
}

impl From<ResidentPlacement> for WeightPlacement {
    fn from(placement: ResidentPlacement) -> Self {
        Self::Resident(placement)
    }
}

impl From<StreamedPlacement> for WeightPlacement {
    fn from(placement: StreamedPlacement) -> Self {
        Self::Streamed(placement)
    }
}
