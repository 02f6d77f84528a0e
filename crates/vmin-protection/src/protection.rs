//! The mechanisms of a candidate: a list per memory, from the cells outwards.

use core::fmt;
use std::sync::Arc;

use crate::known::{Known, KnownAt, Noise};
use crate::mechanism::{Effect, Fitted, Mechanism, Stage, SumKeeping};
use crate::mechanisms::{self, SpareLines};
use crate::rails::{Rail, RailCells, Supplies};
use crate::store::StoreRule;
use crate::words::Scheme;
use vmin_accel::{Memory, MemoryAt, PerMemory};
use vmin_diagnostic::Diagnostic;

/// What a test of a chip finds out about its faulty cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Nothing: every bit can err at every read.
    Nothing,
    /// All of them invert their bit.
    Inverting,
    /// Some of them hold a value, or there are none.
    Stuck,
}

/// Why mechanisms do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectionError {
    /// One kind twice.
    #[error("`{kind}` is listed twice")]
    Twice {
        /// Which kind.
        kind: &'static str,
    },
    /// The list does not go from the cells outwards.
    #[error("`{inner}` lies nearer to the cells than `{outer}` and must be listed before it")]
    Order {
        /// Listed too late.
        inner: &'static str,
        /// Listed before it.
        outer: &'static str,
    },
    /// Two mechanisms that both act on words.
    #[error("`{first}` and `{second}` both act on what is read; choose one")]
    TwoOnWords {
        /// The first.
        first: &'static str,
        /// The second.
        second: &'static str,
    },
    /// Words over cells of two rails.
    #[error(
        "`safe_bits` divides every code over two rails, so the words of `{code}` would lie on both"
    )]
    WordOnTwoRails {
        /// The mechanism with words.
        code: &'static str,
    },
    /// Mechanisms that undo each other.
    #[error("`{first}` and `{second}` do not go together: {reason}")]
    Together {
        /// Listed first.
        first: &'static str,
        /// Listed later.
        second: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// The memory cannot have it.
    #[error("the {} memory cannot have `{kind}`: {reason}", memory.word())]
    Memory {
        /// Which kind.
        kind: &'static str,
        /// Which memory.
        memory: Memory,
        /// Why not.
        reason: &'static str,
    },
}

impl ProtectionError {
    /// As a problem of the user's input, without its place.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let hint = match self {
            Self::Twice { .. } => "name each kind once in a memory".to_owned(),
            Self::Order { .. } => format!(
                "list the mechanisms of a memory from the cells outwards: {}",
                mechanisms::words()
            ),
            Self::TwoOnWords { .. } | Self::WordOnTwoRails { .. } | Self::Together { .. } => {
                "leave one of the two away".to_owned()
            }
            Self::Memory { .. } => "leave the mechanism away, or name another `memory`".to_owned(),
        };
        Diagnostic::new("protection", self.to_string()).hint(hint)
    }
}

/// Mechanisms that go together.
#[derive(Clone, Default)]
pub struct Protection {
    lists: PerMemory<Vec<Arc<dyn Mechanism>>>,
    known: Known,
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// The effects on one memory, by stage.
#[derive(Debug)]
pub struct Stages {
    /// Rails, in the order of the list.
    pub rails: Vec<Rail>,
    /// Spare lines, and the voltage of the test in mV.
    pub spares: Option<(SpareLines, f64)>,
    /// How bits are stored.
    pub store: Vec<Box<dyn StoreRule>>,
    /// How words become codes.
    pub scheme: Scheme,
    /// How partial sums are kept and read.
    pub sums: Vec<SumKeeping>,
}

impl Stages {
    /// True if the memory gives back what its cells hold, before partial sums are cut or clamped.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.rails.is_empty()
            && self.spares.is_none()
            && self.store.is_empty()
            && matches!(self.scheme, Scheme::Plain)
    }
}

/// A memory and its mechanisms at one operating point.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ProtectedAt {
    /// Supplies during accesses.
    pub access: Supplies,
    /// Supplies during the test that allocates spares, if there are spares.
    pub test: Option<Supplies>,
    /// The test that finds the fault map, where it is not that of the accesses' own supplies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownAt>,
}

impl ProtectedAt {
    /// An unprotected memory.
    #[must_use]
    pub fn plain(at: MemoryAt) -> Self {
        Self { access: Supplies::single(at), test: None, known: None }
    }

    /// Whether the test that finds the fault map is a noiseless read at the supplies of all others.
    #[must_use]
    pub fn is_tested_as_read(&self) -> bool {
        let same = |known: &KnownAt| known.supplies == self.access;
        self.access.base().noise.is_none() && self.known.as_ref().is_some_and(same)
    }

    /// The same where the map is that of the supplies themselves.
    #[must_use]
    pub fn knowing_exactly(&self) -> Self {
        Self { known: None, ..self.clone() }
    }

    /// Every supply that some cell may hang on.
    pub fn levels(&self) -> impl Iterator<Item = &MemoryAt> {
        let known = self.known.as_ref().map(|known| &known.supplies);
        let all = [Some(&self.access), self.test.as_ref(), known];
        all.into_iter().flatten().flat_map(Supplies::levels).map(|(_, at)| at)
    }
}

impl Protection {
    /// Checks that the mechanisms of each memory go together.
    ///
    /// # Errors
    /// The first rule they break, with the index of the mechanism that breaks it.
    pub fn new(
        mechanisms: impl IntoIterator<Item = (Memory, Arc<dyn Mechanism>)>,
    ) -> Result<Self, (usize, ProtectionError)> {
        let mut protection = Self::default();
        for (index, (memory, mechanism)) in mechanisms.into_iter().enumerate() {
            let list = protection.lists.get_mut(memory);
            check(memory, list, mechanism.as_ref()).map_err(|error| (index, error))?;
            list.push(mechanism);
        }
        Ok(protection)
    }

    /// Mechanisms of the weight memory alone.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn of_weights(
        mechanisms: impl IntoIterator<Item = Arc<dyn Mechanism>>,
    ) -> Result<Self, (usize, ProtectionError)> {
        Self::new(mechanisms.into_iter().map(|mechanism| (Memory::Weight, mechanism)))
    }

    /// The mechanisms of a memory, from the cells outwards.
    #[must_use]
    pub fn of(&self, memory: Memory) -> &[Arc<dyn Mechanism>] {
        self.lists.get(memory)
    }

    /// Every mechanism with its memory.
    pub fn iter(&self) -> impl Iterator<Item = (Memory, &dyn Mechanism)> {
        let of = |(memory, list)| {
            let list: &Vec<Arc<dyn Mechanism>> = list;
            list.iter().map(move |mechanism| (memory, mechanism.as_ref()))
        };
        self.lists.iter().flat_map(of)
    }

    /// The effects on a memory with codes of `code_bits` bits, by stage.
    #[must_use]
    pub fn stages(&self, memory: Memory, code_bits: u8) -> Stages {
        let mut stages = Stages {
            rails: Vec::new(),
            spares: None,
            store: Vec::new(),
            scheme: Scheme::Plain,
            sums: Vec::new(),
        };
        for mechanism in self.of(memory) {
            match mechanism.effect(code_bits) {
                Effect::Rail(rail) => stages.rails.push(rail),
                Effect::Spares(lines, test_mv) => stages.spares = Some((lines, test_mv)),
                Effect::Store(rule) => stages.store.push(rule),
                Effect::Word(code, words, on_detected) => {
                    stages.scheme = Scheme::Code { code, words, on_detected };
                }
                Effect::Detect(reads) => stages.scheme = Scheme::Detecting(reads),
                Effect::Sum(keeping) => stages.sums.push(keeping),
                Effect::Fit(_) => {}
            }
        }
        stages
    }

    /// The rails of a memory.
    pub(crate) fn rails(&self, memory: Memory) -> Vec<Rail> {
        self.stages(memory, 8).rails
    }

    /// The supplies of a memory whose own supply is at `vdd_mv`; `at` gives the memory at a voltage.
    ///
    /// # Errors
    /// The first that `at` gives.
    pub fn at<E>(
        &self,
        memory: Memory,
        vdd_mv: f64,
        at: impl Fn(f64, Noise) -> Result<MemoryAt, E>,
    ) -> Result<ProtectedAt, E> {
        let Stages { rails, spares, .. } = self.stages(memory, 8);
        let here = |mv: f64| at(mv, Noise::OfReads);
        let knows = self.of(memory).iter().any(|mechanism| mechanism.effect(8).asks_known());
        let known = knows.then(|| self.known.at(vdd_mv, &rails, &at)).transpose()?.flatten();
        Ok(ProtectedAt {
            access: Supplies::new(vdd_mv, &rails, here)?,
            test: spares.map(|(_, test_mv)| Supplies::new(test_mv, &rails, here)).transpose()?,
            known,
        })
    }

    /// The constants that are fitted to each chip, if some are.
    #[must_use]
    pub fn fitted(&self) -> Option<Fitted> {
        self.iter().find_map(|(_, mechanism)| match mechanism.effect(8) {
            Effect::Fit(fitted) => Some(fitted),
            Effect::Rail(_)
            | Effect::Spares(..)
            | Effect::Store(_)
            | Effect::Word(..)
            | Effect::Detect(_)
            | Effect::Sum(_) => None,
        })
    }

    /// Share of the accumulator memory's rows that tiles of partial sums may fill.
    #[must_use]
    pub fn share_of_sums(&self) -> f64 {
        let of = self.of(Memory::Accumulator).iter();
        of.filter_map(|mechanism| mechanism.share_of_rows()).fold(1.0, f64::min)
    }

    /// Calibration images that its mechanisms need, if they need some.
    #[must_use]
    pub fn calibration_images(&self) -> Option<u32> {
        let of = |(_, mechanism): (Memory, &dyn Mechanism)| match mechanism.effect(8) {
            Effect::Fit(fitted) => Some(fitted.images),
            Effect::Sum(SumKeeping::Guarded(guard)) => Some(guard.images),
            Effect::Store(rule) => rule.calibration_images(),
            Effect::Sum(SumKeeping::Narrow)
            | Effect::Rail(_)
            | Effect::Spares(..)
            | Effect::Word(..)
            | Effect::Detect(_) => None,
        };
        self.iter().filter_map(of).max()
    }

    /// The same for a network whose constants were fitted before: only images that partial sums are guarded by.
    #[must_use]
    pub fn guard_images(&self) -> Option<u32> {
        let sums = self.stages(Memory::Accumulator, 32).sums.into_iter();
        let images = |keeping| match keeping {
            SumKeeping::Guarded(guard) => Some(guard.images),
            SumKeeping::Narrow => None,
        };
        sums.filter_map(images).max()
    }

    /// The same, working from this knowledge of each chip.
    #[must_use]
    pub fn knowing(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// The same, working from the exact map of each chip.
    #[must_use]
    pub fn knowing_exactly(&self) -> Self {
        self.clone().knowing(Known::default())
    }

    /// What is known of each chip.
    #[must_use]
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// True without any mechanism.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Why the protection is of no use on chips with this kind of fault map.
    #[must_use]
    pub fn useless(&self, map: MapKind) -> Option<String> {
        self.iter().find_map(|(_, mechanism)| {
            let (effect, kind) = (mechanism.effect(8), mechanism.kind());
            match map {
                MapKind::Nothing if effect.needs_map() => Some(format!(
                    "`{kind}` needs the fault map of a chip, and transient errors have none"
                )),
                MapKind::Inverting if effect.needs_held_values() => Some(format!(
                    "`{kind}` needs cells that hold a value, and all faulty cells here invert theirs"
                )),
                MapKind::Nothing | MapKind::Inverting | MapKind::Stuck => None,
            }
        })
    }

    /// In words, as tables print it; mechanisms beside those of the weight memory name theirs.
    #[must_use]
    pub fn describe(&self) -> String {
        let words = self.iter().map(|(memory, mechanism)| match memory {
            Memory::Weight => mechanism.describe(),
            Memory::Activation => format!("activations: {}", mechanism.describe()),
            Memory::Accumulator => format!("partial sums: {}", mechanism.describe()),
        });
        let map = (!self.known.is_exact()).then(|| self.known.describe());
        let words: Vec<String> = words.chain(map).collect();
        if words.is_empty() { "none".to_owned() } else { words.join("; ") }
    }

    /// Whether codes are written in place of others.
    #[must_use]
    pub fn writes_around(&self) -> bool {
        self.iter().any(|(_, mechanism)| match mechanism.effect(8) {
            Effect::Store(rule) => rule.writes_around(),
            Effect::Rail(_)
            | Effect::Spares(..)
            | Effect::Word(..)
            | Effect::Detect(_)
            | Effect::Sum(_)
            | Effect::Fit(_) => false,
        })
    }

    /// What is known of each chip, as files name it; none where no mechanism works from a fault map.
    #[must_use]
    pub fn known_text(&self) -> Option<String> {
        let asks = self.iter().any(|(_, mechanism)| mechanism.effect(8).asks_known());
        asks.then(|| self.known.text())
    }

    /// Every mechanism by value.
    #[must_use]
    pub fn identity(&self) -> serde_json::Value {
        let of = |(memory, mechanism): (Memory, &dyn Mechanism)| {
            serde_json::json!([memory.word(), mechanism.kind(), mechanism.identity()])
        };
        let list: serde_json::Value = self.iter().map(of).collect();
        if self.known.is_exact() { list } else { serde_json::json!([list, self.known]) }
    }
}

/// Checks that a mechanism goes with those before it.
fn check(
    memory: Memory,
    before: &[Arc<dyn Mechanism>],
    mechanism: &dyn Mechanism,
) -> Result<(), ProtectionError> {
    let kind = mechanism.kind();
    if let Some(reason) = mechanism.refused_in(memory) {
        return Err(ProtectionError::Memory { kind, memory, reason });
    }
    let effect = mechanism.effect(8);
    for earlier in before {
        let outer = earlier.effect(8);
        if earlier.kind() == kind {
            return Err(ProtectionError::Twice { kind });
        }
        let ordered = matches!(effect.stage(), Stage::Store | Stage::Sums);
        let listed_late = outer.stage() == effect.stage()
            && ordered
            && mechanisms::rank(earlier.kind()) > mechanisms::rank(kind);
        if outer.stage() > effect.stage() || listed_late {
            return Err(ProtectionError::Order { inner: kind, outer: earlier.kind() });
        }
        if outer.stage() == Stage::Words && effect.stage() == Stage::Words {
            return Err(ProtectionError::TwoOnWords { first: earlier.kind(), second: kind });
        }
        for (first, second, reason) in mechanisms::APART {
            if (earlier.kind(), kind) == (first, second) {
                return Err(ProtectionError::Together { first, second, reason });
            }
        }
        let on_two = matches!(&outer, Effect::Rail(Rail { cells: RailCells::TopBits(_), .. }));
        if on_two && matches!(effect, Effect::Word(..)) {
            return Err(ProtectionError::WordOnTwoRails { code: kind });
        }
    }
    Ok(())
}
