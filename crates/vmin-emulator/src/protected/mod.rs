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
//!
//! Streamed weights are protected load by load: cells of a word that its load does not fill hold 0. Spares
//! are allocated before anything is loaded, so that the test counts every cell on the common rail or its
//! bank's, whatever bits it will hold.

mod contents;

use vmin_accel::VoltageProfile;
use vmin_accel::placement::{AddressMap, WeightPlacement};
use vmin_accel::protection::{Mechanism, Protection};
use vmin_nn::{Graph, Op};
use vmin_quant::Encoding;
use vmin_sram::protection::{
    DetectingReads, OnDetected, Parity, RailRule, Rails, ReadBack, ReadError, Repair, Secded,
    SpareLines, SpareMaps, StoredTensor, TowardZero, Which, WordCode, WordScheme, Words, read_back,
    repaired_faults, weakest_banks,
};
use vmin_sram::{Chip, FaultKind, FaultyCell, Geometry, GeometryError, Threshold};

use contents::{CheckBits, Contents, Empty, InCells, InWords, banks};

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
    /// Words do not divide the halves that streamed weights pass through.
    #[error("words of {data_bits} data bits do not divide halves of {half_bits} bits")]
    Half {
        /// Data bits of a word.
        data_bits: u32,
        /// Bits of half of the weight memory.
        half_bits: u64,
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
    /// How the bits of codes lie in the cells of this chip.
    pub layout: AddressMap,
}

/// A network in a protected weight memory.
#[derive(Debug)]
pub struct ProtectedMemory<'g> {
    graph: &'g Graph,
    protection: Protection,
    /// What lies there, one after the other.
    contents: Vec<Contents<'g>>,
    /// True if nothing lies there for good.
    streamed: bool,
    shape: ChipShape,
    code: Option<(Box<dyn WordCode>, Words, OnDetected)>,
    detecting: Option<DetectingReads>,
    spares: Option<(SpareLines, f64)>,
    layer_tensors: Vec<usize>,
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
        placement: &'g WeightPlacement,
        protection: Protection,
        word_bits: u64,
    ) -> Result<Self, ProtectedError> {
        let data = placement.geometry();
        let half_bits = match placement {
            WeightPlacement::Resident(_) => None,
            WeightPlacement::Streamed(streamed) => Some(streamed.half_bits),
        };
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
        let check = match &mut code {
            Some((code, words, _)) => {
                let data_bits = code.data_bits();
                let k = u64::from(data_bits);
                let fits =
                    u64::from(data.columns()).is_multiple_of(k) && word_bits.is_multiple_of(k);
                if *words == Words::Cells && !fits {
                    let columns = data.columns();
                    return Err(ProtectedError::Word { data_bits, columns, word_bits });
                }
                if let Some(half_bits) = half_bits.filter(|half| !half.is_multiple_of(k)) {
                    return Err(ProtectedError::Half { data_bits, half_bits });
                }
                if half_bits.is_some() && *words == Words::Codes {
                    one_width(graph, data_bits)?;
                    // A check bit belongs to the cells of a code, whichever passes through them.
                    *words = Words::Cells;
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
        let memory = Self {
            graph,
            protection,
            contents: Contents::of(placement),
            streamed: half_bits.is_some(),
            shape,
            code,
            detecting,
            spares,
            layer_tensors,
        };
        // Proves once that words, codes and cells fit each other.
        let mut codes = memory.written();
        let layout = AddressMap::linear(data);
        for contents in &memory.contents {
            memory.read_contents(contents, &layout, [&[], &[]], FaultKind::Flip, &mut codes)?;
        }
        Ok(memory)
    }

    /// The memories a chip must have.
    #[must_use]
    pub const fn shape(&self) -> ChipShape {
        self.shape
    }

    /// Number of banks that hold weights, which lie as `layout` says.
    #[must_use]
    pub fn banks_used(&self, layout: &AddressMap) -> u32 {
        // At most a geometry's banks.
        banks(&self.contents, layout).len() as u32
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
        let rails = self.rails(maps, profile, repair_mv);
        let data = prefix(Some(&maps.data), base);
        let faults = match &self.contents[..] {
            [contents] if !self.streamed => {
                let stores = InCells { contents, layout: &maps.layout };
                rails.filter(data, self.shape.data, &stores, &self.bits())
            }
            _ => rails.filter(data, self.shape.data, &Empty, &[]),
        };
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
        let rails = self.rails(maps, profile, vdd_mv);
        let data = prefix(Some(&maps.data), rails.base);
        let check = prefix(maps.check.as_ref(), rails.base);
        let check_layout = self.shape.check.map(|geometry| maps.layout.beside(geometry));
        let mut codes = self.written();
        let mut done = ReadBack::default();
        for contents in &self.contents {
            let stores = InCells { contents, layout: &maps.layout };
            let mut faults = rails.filter(data, self.shape.data, &stores, &self.bits());
            if let (Some((lines, _)), Some(repair)) = (self.spares, repair) {
                let spares = SpareMaps {
                    rows: prefix(maps.spare_rows.as_ref(), rails.base),
                    columns: prefix(maps.spare_columns.as_ref(), rails.base),
                };
                faults = repaired_faults(self.shape.data, lines, repair, &faults, spares);
            }
            for fault in &mut faults {
                fault.address = maps.layout.position(fault.address);
            }
            let check = check_layout.as_ref().map_or_else(Vec::new, |layout| {
                self.check_faults(contents, maps, &rails, check, layout)
            });
            done += self
                .read_contents(contents, &maps.layout, [&faults, &check], kind, &mut codes)
                .expect("`new` has read an empty map through these words");
        }
        ProtectedRead { codes, done }
    }

    /// Faults of check bits by position. A check bit hangs on the rail of its word's first data bit.
    fn check_faults(
        &self,
        contents: &Contents<'_>,
        maps: &ChipMaps,
        rails: &Rails,
        check: &[FaultyCell],
        layout: &AddressMap,
    ) -> Vec<FaultyCell> {
        let (Some(geometry), Some((code, words, _))) = (self.shape.check, &self.code) else {
            return Vec::new();
        };
        let stores = CheckBits {
            data: InWords { contents, layout: &maps.layout },
            layout,
            data_bits: code.data_bits().into(),
            check_bits: code.check_bits().into(),
            words: *words,
        };
        let mut faults = rails.filter(check, geometry, &stores, &self.bits());
        for fault in &mut faults {
            fault.address = layout.position(fault.address);
        }
        faults
    }

    fn rails(&self, maps: &ChipMaps, profile: &VoltageProfile, vdd_mv: f64) -> Rails {
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
                    let used = banks(&self.contents, &maps.layout);
                    // At most as many as are used, rounded up as the energy counts them.
                    let count = (share * used.len() as f64).ceil() as usize;
                    let faults = prefix(Some(&maps.data), base);
                    (Which::Banks(weakest_banks(faults, self.shape.data, &used, count)), supply)
                }
                _ => continue,
            };
            rules.push(RailRule { which, threshold: profile.threshold(supply.at(vdd_mv)) });
        }
        Rails { base, rules }
    }

    /// The codes as they were written.
    fn written(&self) -> Vec<Vec<u8>> {
        self.graph.weights.iter().map(|weights| weights.codes.clone()).collect()
    }

    /// Reads what lies there at a time with `[data, check]` faults by position.
    fn read_contents(
        &self,
        contents: &Contents<'_>,
        layout: &AddressMap,
        [faults, check_faults]: [&[FaultyCell]; 2],
        kind: FaultKind,
        codes: &mut [Vec<u8>],
    ) -> Result<ReadBack, ReadError> {
        let scheme = match (&self.code, self.detecting) {
            (Some((code, words, on_detected)), _) => {
                WordScheme::Code { code: code.as_ref(), words: *words, on_detected: *on_detected }
            }
            (None, Some(reads)) => WordScheme::Detecting(reads),
            (None, None) => WordScheme::Plain,
        };
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
        let stores = InWords { contents, layout };
        read_back(scheme, &stores, faults, check_faults, kind, &mut tensors)
    }

    fn bits(&self) -> Vec<u8> {
        self.graph.weights.iter().map(|weights| weights.bits).collect()
    }
}

/// Refuses codes that are not all of that width.
fn one_width(graph: &Graph, data_bits: u32) -> Result<(), ReadError> {
    let strange = |bits: u8| u32::from(bits) != data_bits;
    match graph.weights.iter().position(|weights| strange(weights.bits)) {
        Some(tensor) => {
            let bits = graph.weights[tensor].bits;
            Err(ReadError::WordIsNoCode { data_bits, tensor, bits })
        }
        None => Ok(()),
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
