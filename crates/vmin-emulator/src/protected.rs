//! A weight memory with protection: which cells there are, which fail, what the codes then read.
//!
//! ```text
//! chip: data cells | check cells | spare rows | spare columns     four maps of one chip
//!           |  rails at V              |  allocated once, at the repair voltage
//!           +--> faults <--------------+
//!                  |  words
//!                  v
//!               codes as read
//! ```
//!
//! Data cells are those of the unprotected memory, so one chip can be compared with and without.
//! Check bits lie beside the word in a memory of their own: same bank, same row.

use vmin_accel::protection::{Mechanism, Protection};
use vmin_accel::{ResidentPlacement, VoltageProfile};
use vmin_nn::{Graph, Op};
use vmin_quant::Encoding;
use vmin_sram::protection::{
    CodeBit, DetectingReads, OnDetected, Parity, RailRule, Rails, ReadBack, ReadError, Repair,
    Secded, SpareLines, SpareMaps, StoredTensor, Stores, TowardZero, Which, WordCode, WordScheme,
    Words, read_back, repaired_faults, weakest_banks,
};
use vmin_sram::{Chip, FaultKind, FaultyCell, Geometry, GeometryError, Threshold};

/// Why protection does not fit a network in a memory.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtectedError {
    /// Words do not divide rows or accesses.
    #[error(
        "words of {data_bits} data bits do not divide rows of {columns} cells and accesses of {word_bits} bits"
    )]
    Word {
        /// Data bits of a word.
        data_bits: u32,
        /// Cells of a row.
        columns: u32,
        /// Bits of an access.
        word_bits: u64,
    },
    /// A layer that the network does not have.
    #[error("the network has {layers} layers with weights, there is no layer {layer}")]
    Layer {
        /// What was asked for.
        layer: usize,
        /// Layers with weights.
        layers: usize,
    },
    /// More cells than a memory may have.
    #[error("check bits or spares are too many: {0}")]
    Geometry(#[from] GeometryError),
    /// Words are codes, and codes are of several widths.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The memories of a protected chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipShape {
    /// Cells of codes.
    pub data: Geometry,
    /// Cells of check bits.
    pub check: Option<Geometry>,
    /// Spare rows.
    pub spare_rows: Option<Geometry>,
    /// Spare columns.
    pub spare_columns: Option<Geometry>,
}

/// The maps of one chip, as [`ChipShape`] has them; empty where there is no such memory.
#[derive(Debug)]
pub struct ChipMaps {
    /// Cells of codes.
    pub data: Chip,
    /// Cells of check bits.
    pub check: Option<Chip>,
    /// Spare rows.
    pub spare_rows: Option<Chip>,
    /// Spare columns.
    pub spare_columns: Option<Chip>,
}

/// A network in a protected weight memory.
#[derive(Debug)]
pub struct ProtectedMemory<'g> {
    graph: &'g Graph,
    protection: Protection,
    stores: Linear,
    shape: ChipShape,
    code: Option<(Box<dyn WordCode>, Words, OnDetected)>,
    detecting: Option<DetectingReads>,
    spares: Option<(SpareLines, f64)>,
    layer_tensors: Vec<usize>,
    banks_used: u32,
}

/// What a protected read did.
#[derive(Clone, Debug)]
pub struct ProtectedRead {
    /// Codes per weight tensor.
    pub codes: Vec<Vec<u8>>,
    /// Counts.
    pub done: ReadBack,
}

impl<'g> ProtectedMemory<'g> {
    /// Protects the weights of `graph` at `placement`; `word_bits` is what an access moves.
    ///
    /// # Errors
    /// See [`ProtectedError`].
    pub fn new(
        graph: &'g Graph,
        placement: &ResidentPlacement,
        protection: Protection,
        word_bits: u64,
    ) -> Result<Self, ProtectedError> {
        let data = placement.geometry;
        let layer_tensors = layer_tensors(graph);
        let mut code: Option<(Box<dyn WordCode>, Words, OnDetected)> = None;
        let (mut detecting, mut spares) = (None, None);
        for mechanism in protection.mechanisms() {
            match mechanism {
                Mechanism::LayerRail { layers, .. } => {
                    let known = layer_tensors.len();
                    if let Some(&layer) = layers.iter().find(|&&layer| layer > known) {
                        return Err(ProtectedError::Layer { layer, layers: known });
                    }
                }
                Mechanism::Spares { rows, columns, repair_vdd_mv } => {
                    let lines = SpareLines { rows: *rows, columns: *columns };
                    spares = Some((lines, *repair_vdd_mv));
                }
                Mechanism::Secded { data_bits, on_detected } => {
                    let secded = Secded::new(*data_bits).map_err(|_| ProtectedError::Word {
                        data_bits: *data_bits,
                        columns: data.columns(),
                        word_bits,
                    })?;
                    code = Some((Box::new(secded), Words::Cells, *on_detected));
                }
                Mechanism::Parity { data_bits } => {
                    let first = graph.weights.first().map_or(8, |weights| u32::from(weights.bits));
                    let words = if data_bits.is_some() { Words::Cells } else { Words::Codes };
                    let data_bits = data_bits.unwrap_or(first);
                    let parity = Parity::new(data_bits).ok_or(ProtectedError::Word {
                        data_bits,
                        columns: data.columns(),
                        word_bits,
                    })?;
                    code = Some((Box::new(parity), words, OnDetected::Zero));
                }
                Mechanism::DetectingRead { masking } => {
                    detecting = Some(DetectingReads { masking: *masking });
                }
                _ => {}
            }
        }
        let codes: u64 = graph.weights.iter().map(|weights| weights.codes.len() as u64).sum();
        let check = match &code {
            Some((code, words, _)) => {
                let k = u64::from(code.data_bits());
                let fits =
                    u64::from(data.columns()).is_multiple_of(k) && word_bits.is_multiple_of(k);
                if *words == Words::Cells && !fits {
                    return Err(ProtectedError::Word {
                        data_bits: code.data_bits(),
                        columns: data.columns(),
                        word_bits,
                    });
                }
                let words = if *words == Words::Cells { data.cells() / k } else { codes };
                let rows = u64::from(data.banks()) * u64::from(data.rows());
                let columns = (words * u64::from(code.check_bits())).div_ceil(rows).max(1);
                let columns = u32::try_from(columns).unwrap_or(u32::MAX);
                Some(Geometry::new(data.banks(), data.rows(), columns)?)
            }
            None => None,
        };
        let lines = spares.map_or(SpareLines { rows: 0, columns: 0 }, |(lines, _)| lines);
        let shape = ChipShape {
            data,
            check,
            spare_rows: lines.row_geometry(data)?,
            spare_columns: lines.column_geometry(data)?,
        };
        let used = placement.bits_used.div_ceil(data.cells_per_bank()).max(1);
        let memory = Self {
            graph,
            protection,
            stores: Linear::new(placement),
            shape,
            code,
            detecting,
            spares,
            layer_tensors,
            banks_used: u32::try_from(used).unwrap_or(u32::MAX).min(data.banks()),
        };
        // Proves once that words, codes and cells fit each other.
        memory.read_faults(&[], &[], FaultKind::Flip)?;
        Ok(memory)
    }

    /// The memories a chip must have.
    #[must_use]
    pub const fn shape(&self) -> ChipShape {
        self.shape
    }

    /// Banks that hold weights.
    #[must_use]
    pub const fn banks_used(&self) -> u32 {
        self.banks_used
    }

    /// The protection.
    #[must_use]
    pub const fn protection(&self) -> &Protection {
        &self.protection
    }

    /// The deepest threshold asked of a chip that is read down to `vdd_mv`.
    #[must_use]
    pub fn floor(&self, profile: &VoltageProfile, vdd_mv: f64) -> Threshold {
        let at = |mv| profile.threshold(self.protection.base_mv(mv));
        let repair = self.spares.map(|(_, repair_mv)| at(repair_mv));
        repair.map_or(at(vdd_mv), |repair| repair.min(at(vdd_mv)))
    }

    /// Allocates the spares of a chip by its maps at the repair voltage; none without spares.
    #[must_use]
    pub fn repair(&self, maps: &ChipMaps, profile: &VoltageProfile) -> Option<Repair> {
        let (lines, repair_mv) = self.spares?;
        let base = profile.threshold(self.protection.base_mv(repair_mv));
        let faults = self.faults_on_rails(&maps.data, profile, repair_mv);
        let spares = SpareMaps {
            rows: prefix(maps.spare_rows.as_ref(), base),
            columns: prefix(maps.spare_columns.as_ref(), base),
        };
        Some(Repair::allocate(self.shape.data, lines, &faults, spares))
    }

    /// The codes that a chip gives back with the memory at `vdd_mv`; `repair` is what
    /// [`Self::repair`] gave for it. Maps that do not reach so deep count as far as they go.
    #[must_use]
    pub fn read(
        &self,
        maps: &ChipMaps,
        repair: Option<&Repair>,
        profile: &VoltageProfile,
        vdd_mv: f64,
        kind: FaultKind,
    ) -> ProtectedRead {
        let base = profile.threshold(self.protection.base_mv(vdd_mv));
        let mut faults = self.faults_on_rails(&maps.data, profile, vdd_mv);
        if let (Some((lines, _)), Some(repair)) = (self.spares, repair) {
            let spares = SpareMaps {
                rows: prefix(maps.spare_rows.as_ref(), base),
                columns: prefix(maps.spare_columns.as_ref(), base),
            };
            faults = repaired_faults(self.shape.data, lines, repair, &faults, spares);
        }
        let check = self.check_faults(maps, profile, vdd_mv);
        self.read_faults(&faults, &check, kind)
            .expect("`new` has read an empty map through these words")
    }

    fn faults_on_rails(
        &self,
        data: &Chip,
        profile: &VoltageProfile,
        vdd_mv: f64,
    ) -> Vec<FaultyCell> {
        let rails = self.rails(data, profile, vdd_mv);
        rails.filter(prefix(Some(data), rails.base), self.shape.data, &self.stores, &self.bits())
    }

    /// A check bit hangs on the rail of its word's first data bit.
    fn check_faults(
        &self,
        maps: &ChipMaps,
        profile: &VoltageProfile,
        vdd_mv: f64,
    ) -> Vec<FaultyCell> {
        let (Some(check), Some(geometry), Some((code, words, _))) =
            (&maps.check, self.shape.check, &self.code)
        else {
            return Vec::new();
        };
        let rails = self.rails(&maps.data, profile, vdd_mv);
        let stores = CheckBits {
            data: &self.stores,
            data_bits: code.data_bits().into(),
            check_bits: code.check_bits().into(),
            words: *words,
        };
        rails.filter(prefix(Some(check), rails.base), geometry, &stores, &self.bits())
    }

    fn rails(&self, data: &Chip, profile: &VoltageProfile, vdd_mv: f64) -> Rails {
        let base = profile.threshold(self.protection.base_mv(vdd_mv));
        let mut rules = Vec::new();
        for mechanism in self.protection.mechanisms() {
            let (which, supply) = match mechanism {
                Mechanism::SafeBits { bits, supply } => (Which::TopBits { count: *bits }, supply),
                Mechanism::LayerRail { layers, supply } => {
                    let tensor = |layer: &usize| self.layer_tensors.get(layer - 1).copied();
                    let mut tensors: Vec<usize> = layers.iter().filter_map(tensor).collect();
                    tensors.sort_unstable();
                    (Which::Tensors(tensors), supply)
                }
                Mechanism::BankRail { share, supply } => {
                    // At most `banks_used`, rounded up as the energy counts them.
                    let count = (share * f64::from(self.banks_used)).ceil() as u32;
                    let faults = prefix(Some(data), base);
                    let geometry = self.shape.data;
                    let banks = weakest_banks(faults, geometry, self.banks_used, count);
                    (Which::Banks(banks), supply)
                }
                _ => continue,
            };
            rules.push(RailRule { which, threshold: profile.threshold(supply.at(vdd_mv)) });
        }
        Rails { base, rules }
    }

    fn read_faults(
        &self,
        faults: &[FaultyCell],
        check_faults: &[FaultyCell],
        kind: FaultKind,
    ) -> Result<ProtectedRead, ReadError> {
        let scheme = match (&self.code, self.detecting) {
            (Some((code, words, on_detected)), _) => {
                WordScheme::Code { code: code.as_ref(), words: *words, on_detected: *on_detected }
            }
            (None, Some(reads)) => WordScheme::Detecting(reads),
            (None, None) => WordScheme::Plain,
        };
        let mut codes: Vec<Vec<u8>> =
            self.graph.weights.iter().map(|weights| weights.codes.clone()).collect();
        let mut tensors: Vec<StoredTensor<'_>> = codes
            .iter_mut()
            .zip(&self.graph.weights)
            .map(|(codes, weights)| StoredTensor {
                codes,
                bits: weights.bits,
                zeros: zeros(weights),
                toward_zero: match weights.encoding {
                    Encoding::TwosComplement => TowardZero::SignBit,
                    Encoding::OffsetBinary => TowardZero::NotSignBit,
                    Encoding::SignMagnitude => TowardZero::Clear,
                },
            })
            .collect();
        let done = read_back(scheme, &self.stores, faults, check_faults, kind, &mut tensors)?;
        Ok(ProtectedRead { codes, done })
    }

    fn bits(&self) -> Vec<u8> {
        self.graph.weights.iter().map(|weights| weights.bits).collect()
    }
}

/// The map of a chip at a threshold, or all that it knows.
fn prefix(chip: Option<&Chip>, threshold: Threshold) -> &[FaultyCell] {
    chip.map_or(&[], |chip| chip.faults(threshold.max(chip.floor())).unwrap_or(chip.cells()))
}

/// The codes that mean zero, one per channel where they differ.
fn zeros(weights: &vmin_nn::WeightTensor) -> Vec<u8> {
    let code = |&zero: &i32| {
        let nearest =
            zero.clamp(weights.encoding.min(weights.bits), weights.encoding.max(weights.bits));
        weights.encoding.encode(nearest, weights.bits).unwrap_or(0)
    };
    let mut zeros: Vec<u8> = weights.zero_points.iter().map(code).collect();
    if zeros.windows(2).all(|pair| pair[0] == pair[1]) {
        zeros.truncate(1);
    }
    if zeros.is_empty() {
        zeros.push(code(&0));
    }
    zeros
}

/// The weight tensor of each layer with weights, in execution order.
fn layer_tensors(graph: &Graph) -> Vec<usize> {
    let layers = graph.layers();
    let tensors = layers.iter().filter_map(|layer| match &graph.nodes.get(layer.node)?.op {
        Op::Conv2d(conv) => Some(conv.weights.0),
        _ => None,
    });
    tensors.collect()
}

/// Tensors one after another, codes packed without gaps.
#[derive(Debug)]
struct Linear {
    /// (first bit, tensor, codes, bits per code), by first bit, none empty.
    spans: Vec<(u64, usize, u64, u64)>,
}

impl Linear {
    fn new(placement: &ResidentPlacement) -> Self {
        let mut spans: Vec<_> = placement
            .tensors
            .iter()
            .enumerate()
            .filter(|(_, placed)| placed.codes > 0)
            .map(|(tensor, placed)| (placed.first_bit, tensor, placed.codes, placed.bits.into()))
            .collect();
        spans.sort_unstable();
        Self { spans }
    }
}

impl Stores for Linear {
    fn held(&self, address: u64) -> Option<CodeBit> {
        let after = self.spans.partition_point(|&(first, ..)| first <= address);
        let &(first, tensor, codes, bits) = self.spans.get(after.checked_sub(1)?)?;
        let (code, bit) = ((address - first) / bits, (address - first) % bits);
        // A remainder by at most 8.
        (code < codes).then_some(CodeBit { tensor, code: code as usize, bit: bit as u8 })
    }
}

/// Check bits stand for the first data bit of their word.
struct CheckBits<'a> {
    data: &'a Linear,
    data_bits: u64,
    check_bits: u64,
    words: Words,
}

impl Stores for CheckBits<'_> {
    fn held(&self, address: u64) -> Option<CodeBit> {
        let word = address / self.check_bits;
        match self.words {
            Words::Cells => self.data.held(word.checked_mul(self.data_bits)?),
            Words::Codes => {
                let mut rest = word;
                let mut by_tensor: Vec<_> =
                    self.data.spans.iter().map(|&(_, tensor, codes, _)| (tensor, codes)).collect();
                by_tensor.sort_unstable();
                for (tensor, codes) in by_tensor {
                    if rest < codes {
                        return Some(CodeBit { tensor, code: rest as usize, bit: 0 });
                    }
                    rest -= codes;
                }
                None
            }
        }
    }
}
