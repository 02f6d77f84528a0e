//! Faulty cells for other fault injectors: a list of sites, masks of codes, and the codes that the chip gives back.

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{WritableElement, WriteNpyExt};
use vmin_emulator::FaultSite;
use vmin_nn::{Graph, WeightTensor};
use vmin_sram::CellEffect;

use super::tables::csv;
use crate::{Failure, files};

/// Code `c` of a tensor reads as `(c & and | or) ^ xor`, before words are decoded.
struct Masks {
    and: Vec<u8>,
    or: Vec<u8>,
    xor: Vec<u8>,
}

/// `masks/` and `read/`: the sites, and per weight tensor masks and codes as `read`.
pub(super) fn files(
    graph: &Graph,
    sites: &[FaultSite],
    read: &[Vec<u8>],
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let effect = |effect| match effect {
        CellEffect::Holds(false) => "stuck0",
        CellEffect::Holds(true) => "stuck1",
        CellEffect::Inverts => "inverts",
    };
    let row = |of: &FaultSite| (of.tensor, of.code, of.bit, effect(of.effect), of.row, of.column);
    let mut rows: Vec<_> = sites.iter().map(row).collect();
    rows.sort_unstable();
    let header = ["tensor", "index", "bit", "effect", "row", "column"];
    let mut all = vec![("masks/sites.csv".to_owned(), csv(&header, rows)?)];
    let mut masks: Vec<Masks> = graph.weights.iter().map(Masks::none).collect();
    for site in sites {
        masks[site.tensor].add(site);
    }
    for (index, ((weights, masks), read)) in graph.weights.iter().zip(masks).zip(read).enumerate() {
        let name = files::of_tensor(index, &weights.name);
        for (operation, codes) in [("and", masks.and), ("or", masks.or), ("xor", masks.xor)] {
            all.push((format!("masks/{operation}/{name}"), npy(weights, codes)?));
        }
        all.push((format!("read/codes/{name}"), npy(weights, read.clone())?));
        let values = weights.encoding.decode_table(weights.bits);
        let values = read.iter().map(|&code| values[usize::from(code)]).collect();
        all.push((format!("read/integers/{name}"), npy::<i8>(weights, values)?));
    }
    Ok(all)
}

impl Masks {
    fn none(of: &WeightTensor) -> Self {
        let count = of.codes.len();
        // Codes have 1 to 8 bits.
        let all = 0xff >> (8 - of.bits.clamp(1, 8));
        Self { and: vec![all; count], or: vec![0; count], xor: vec![0; count] }
    }

    fn add(&mut self, site: &FaultSite) {
        let bit = 1 << site.bit;
        match site.effect {
            CellEffect::Inverts => self.xor[site.code] |= bit,
            CellEffect::Holds(value) => {
                self.and[site.code] &= !bit;
                self.or[site.code] |= if value { bit } else { 0 };
            }
        }
    }
}

fn npy<T: WritableElement>(of: &WeightTensor, values: Vec<T>) -> Result<Vec<u8>, Failure> {
    let array = ArrayD::from_shape_vec(IxDyn(&of.shape), values)
        .map_err(|error| Failure::input("shape", &error))?;
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).map_err(|error| Failure::input("npy", &error))?;
    Ok(bytes)
}
