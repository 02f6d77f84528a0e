//! What a protection comes to in given memories: mechanisms without effect, and rails in whole banks.

use vmin_accel::{Memory, PerMemory};
use vmin_diagnostic::Diagnostic;

use crate::mechanism::Effect;
use crate::rails::{Rail, RailCells, banks_on_rail};
use crate::{MapKind, Mechanism, ProtectedAt, Protection};

/// What a memory holds; zeros where it makes no errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Width of its widest code, in bits.
    pub code_bits: u8,
    /// Banks that hold something.
    pub banks_used: u32,
    /// Rows that hold something at some time.
    pub rows_used: u64,
    /// Rows of the memory; 0 where it makes no errors.
    pub rows: u64,
}

/// Work at start-up in numbers, once per chip and supply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartUp {
    /// Inferences that fit constants to the chip.
    pub calibration_inferences: u64,
    /// Rows that the test for the fault map reads, all its reads together, for one pattern of data.
    pub test_row_reads: u64,
}

impl Protection {
    /// Work at start-up in memories of these extents.
    #[must_use]
    pub fn start_up(&self, extents: &PerMemory<Extent>) -> StartUp {
        let reads = |memory: Memory| {
            let reads = self.of(memory).iter().map(|mechanism| {
                let effect = mechanism.effect(8);
                // The test of spare lines is one of its own.
                let of_known = if effect.asks_known() { self.known().reads() } else { 1 };
                if effect.needs_map() { of_known } else { 0 }
            });
            u64::from(reads.max().unwrap_or(0)) * extents.get(memory).rows
        };
        StartUp {
            calibration_inferences: self.fitted().map_or(0, |fitted| fitted.images.into()),
            test_row_reads: Memory::ALL.map(|(_, memory)| reads(memory)).iter().sum(),
        }
    }

    /// What must be said where these mechanisms run on chips with this kind of fault map.
    #[must_use]
    pub fn cautions(&self, map: MapKind) -> Vec<String> {
        match map {
            MapKind::Nothing | MapKind::Stuck => Vec::new(),
            MapKind::Inverting => {
                let caution = |(_, mechanism): (Memory, &dyn Mechanism)| {
                    Some(format!("`{}`: {}", mechanism.kind(), mechanism.caution_if_inverting()?))
                };
                self.iter().filter_map(caution).collect()
            }
        }
    }

    /// Why what is known of each chip changes nothing at these operating points, if so.
    #[must_use]
    pub fn known_in_vain(&self, points: &[&PerMemory<Option<ProtectedAt>>]) -> Option<Diagnostic> {
        let all = points.iter().flat_map(|point| point.present());
        let mut tested = all.map(|(_, at)| at).filter(|at| at.known.is_some()).peekable();
        let tests = self.known().reads.is_none() && tested.peek().is_some();
        let message = "`known` has no effect: its test is a read like all others";
        (tests && tested.all(ProtectedAt::is_tested_as_read)).then(|| {
            Diagnostic::new("known", message)
                .hint("leave it away, or name a test that differs, such as `{ margin_mv = 10 }`")
        })
    }

    /// Remarks on mechanisms in memories of these extents at these operating points.
    ///
    /// # Errors
    /// Why a mechanism changes nothing there, or protects other cells than it says.
    pub fn remarks(
        &self,
        extents: &PerMemory<Extent>,
        points: &[&PerMemory<Option<ProtectedAt>>],
    ) -> Result<Vec<String>, String> {
        // What is told of a mechanism, and of which memories: the same of several is one remark.
        let mut told: Vec<(&str, String, Vec<&str>)> = Vec::new();
        let mut startup: Vec<String> = Vec::new();
        for (_, memory) in Memory::ALL {
            let at: Vec<&ProtectedAt> =
                points.iter().filter_map(|point| point.get(memory).as_ref()).collect();
            // A memory at the nominal voltage makes no errors.
            if at.is_empty() {
                continue;
            }
            let mut number = 0;
            for mechanism in self.of(memory) {
                let words = format!("`{}` of the {} memory", mechanism.kind(), memory.word());
                for work in mechanism.startup().iter().flat_map(|work| work.split(", ")) {
                    if !startup.iter().any(|told| told == work) {
                        startup.push(work.to_owned());
                    }
                }
                let remark = mechanism.remark(memory, *extents.get(memory));
                let mut remarks = Vec::from_iter(remark.map(|text| format!("{words}: {text}")));
                if let Effect::Rail(rail) = mechanism.effect(8) {
                    remarks.extend(cells_of(&rail, &words, *extents.get(memory))?);
                    remarks.extend(supply_of(&rail, number, &words, &at)?);
                    number += 1;
                }
                for remark in remarks {
                    let of = (mechanism.kind(), &remark[words.len()..]);
                    match told.iter_mut().find(|told| (told.0, told.1.as_str()) == of) {
                        Some((.., memories)) => memories.push(memory.word()),
                        None => told.push((of.0, of.1.to_owned(), vec![memory.word()])),
                    }
                }
            }
        }
        let remark = |(kind, text, memories): (&str, String, Vec<&str>)| match &memories[..] {
            [memory] => format!("`{kind}` of the {memory} memory{text}"),
            several => format!("`{kind}` of the memories of {}{text}", several.join(", ")),
        };
        let startup = (!startup.is_empty()).then(|| format!("at start-up: {}", startup.join(", ")));
        Ok(told.into_iter().map(remark).chain(startup).collect())
    }
}

/// Checks the cells of a rail against those of its memory.
fn cells_of(rail: &Rail, words: &str, extent: Extent) -> Result<Option<String>, String> {
    let Extent { code_bits, banks_used, .. } = extent;
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
            if share * f64::from(banks_used) < 0.5 {
                return Err(format!("{words} names less than half a bank: {of}"));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vmin_accel::MemoryAt;

    use super::*;
    use crate::mechanisms::{
        BankRail, Boost, ClosestCode, InvertRows, Recalibrate, SafeBits, Spares, StrongestRows,
        SumGuard,
    };
    use crate::rails::Supply;
    use crate::{Known, Mechanism, ProtectedAt};

    /// Remarks on mechanisms of a weight memory of 8-bit codes in `banks_used` banks at these supplies.
    fn remarks(
        list: Vec<Arc<dyn Mechanism>>,
        banks_used: u32,
        vdd_mv: &[f64],
    ) -> Result<Vec<String>, String> {
        let protection = Protection::of_weights(list).expect("they go together");
        let at = |&mv: &f64| {
            let at = |mv, _| Ok::<_, ()>(MemoryAt::new(mv, 0.01));
            let weight = protection.at(Memory::Weight, mv, at).expect("every voltage");
            PerMemory::<Option<ProtectedAt>> { weight: Some(weight), ..PerMemory::default() }
        };
        let points: Vec<_> = vdd_mv.iter().map(at).collect();
        let extent = Extent { code_bits: 8, banks_used, rows_used: 10, rows: 40 };
        let extents = PerMemory::from_fn(|_| extent);
        protection.remarks(&extents, &points.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_rail_in_whole_banks_says_how_many() {
        let rail = |share| BankRail { share, supply: Supply::RaisedByMv(50.0) };
        let raised = |share, banks| remarks(vec![Arc::new(rail(share))], banks, &[900.0]);
        let told = |count, banks| {
            let remark = raised(0.3, banks).expect("allowed").remove(0);
            assert!(remark.contains(&format!("raises {count} of {banks} banks")), "{remark}");
        };
        told(3, 10);
        told(1, 2);
        assert!(raised(0.01, 1).is_err() && raised(0.2, 2).is_err());
        assert!(raised(0.5, 1).is_ok());
    }

    #[test]
    fn the_same_of_several_memories_is_told_once() {
        let supply = Supply::FixedMv(850.0);
        let safe: Arc<dyn Mechanism> = Arc::new(SafeBits { bits: 2, supply });
        let all = Memory::ALL.map(|(_, memory)| (memory, safe.clone()));
        let protection = Protection::new(all).expect("they go together");
        let at = |mv: f64| {
            let at = |mv, _| Ok::<_, ()>(MemoryAt::new(mv, 0.01));
            PerMemory::from_fn(|memory| Some(protection.at(memory, mv, at).expect("every voltage")))
        };
        let points = [at(900.0), at(800.0)];
        let extent = Extent { code_bits: 8, banks_used: 1, rows_used: 10, rows: 40 };
        let extents = PerMemory::from_fn(|_| extent);
        let remarks = protection.remarks(&extents, &points.iter().collect::<Vec<_>>());
        let [remark] = &remarks.expect("useful at 800 mV")[..] else { panic!("one remark") };
        assert!(
            remark.starts_with("`safe_bits` of the memories of weight, activation, accumulator")
                && remark.ends_with("at 900 mV"),
            "{remark}"
        );
    }

    #[test]
    fn work_at_start_up_is_told_once_and_counted() {
        let all: [(Memory, Arc<dyn Mechanism>); 5] = [
            (Memory::Weight, Arc::new(InvertRows {})),
            (Memory::Weight, Arc::new(ClosestCode {})),
            (Memory::Weight, Arc::new(Recalibrate { images: 32, multipliers: false })),
            (Memory::Activation, Arc::new(Spares { rows: 1, columns: 0, repair_vdd_mv: 900.0 })),
            (Memory::Accumulator, Arc::new(SumGuard { images: 16, margin: 0.1 })),
        ];
        let protection = Protection::new(all).expect("they go together");
        let known = Known { reads: Some(5), ..Known::default() };
        let extent = Extent { code_bits: 8, banks_used: 1, rows_used: 10, rows: 40 };
        let extents = PerMemory::from_fn(|_| extent);
        let start_up = protection.knowing(known).start_up(&extents);
        let expected = StartUp { calibration_inferences: 32, test_row_reads: 5 * 40 + 40 };
        assert_eq!(start_up, expected);
        let list: Vec<Arc<dyn Mechanism>> = vec![Arc::new(InvertRows {}), Arc::new(ClosestCode {})];
        let work =
            "memory test, choice per row with faulty cells, search per code with faulty cells";
        let told = remarks(list, 1, &[900.0]).expect("allowed");
        assert_eq!(told, [format!("at start-up: {work}")]);
    }

    #[test]
    fn a_test_like_any_read_is_refused_unless_it_differs_somewhere() {
        let list: Vec<Arc<dyn Mechanism>> = vec![Arc::new(ClosestCode {})];
        let known = Known { vdd_mv: Some(900.0), ..Known::default() };
        let protection = Protection::of_weights(list).expect("allowed").knowing(known);
        let at = |mv: f64| {
            let at = |mv, _| Ok::<_, ()>(MemoryAt::new(mv, 0.01));
            let weight = protection.at(Memory::Weight, mv, at).expect("every voltage");
            PerMemory::<Option<ProtectedAt>> { weight: Some(weight), ..PerMemory::default() }
        };
        assert!(protection.known_in_vain(&[&at(900.0)]).is_some());
        assert!(protection.known_in_vain(&[&at(900.0), &at(850.0)]).is_none());
    }

    #[test]
    fn how_full_a_memory_is_is_told_where_rows_are_chosen() {
        let list: Vec<Arc<dyn Mechanism>> = vec![Arc::new(StrongestRows::default())];
        let remarks = remarks(list, 1, &[900.0]).expect("allowed");
        assert!(remarks[0].ends_with("10 of 40 rows hold something (25.0 %)"), "{remarks:?}");
        let full = Extent { code_bits: 8, banks_used: 1, rows_used: 40, rows: 40 };
        let of = |memory, share| {
            let rows = StrongestRows { share, ways: None };
            rows.remark(memory, full).expect("always told")
        };
        let none = "40 of 40 rows hold something (100.0 %), so that none is left to choose";
        assert_eq!(of(Memory::Weight, None), none);
        assert_eq!(of(Memory::Accumulator, Some(1.0)), none);
        assert!(of(Memory::Accumulator, None).contains("; `share` keeps"));
    }

    #[test]
    fn only_cells_that_all_invert_call_for_caution() {
        let all: [(Memory, Arc<dyn Mechanism>); 2] = [
            (Memory::Weight, Arc::new(ClosestCode {})),
            (Memory::Accumulator, Arc::new(SumGuard { images: 16, margin: 0.1 })),
        ];
        let protection = Protection::new(all).expect("they go together");
        assert_eq!(protection.cautions(MapKind::Inverting).len(), 2);
        assert!(protection.cautions(MapKind::Stuck).is_empty());
    }

    #[test]
    fn a_rail_that_raises_nothing_is_refused_and_one_that_sometimes_does_is_told() {
        let safe = |bits, supply| -> Arc<dyn Mechanism> { Arc::new(SafeBits { bits, supply }) };
        let fixed = Supply::FixedMv(850.0);
        assert_eq!(remarks(vec![safe(2, fixed)], 1, &[840.0, 800.0]), Ok(Vec::new()));
        let some =
            remarks(vec![safe(2, fixed)], 1, &[900.0, 850.0, 800.0]).expect("useful at 800 mV");
        assert!(some[0].ends_with("at 900, 850 mV"), "{some:?}");
        assert!(remarks(vec![safe(2, fixed)], 1, &[900.0]).is_err());
        assert!(remarks(vec![safe(9, fixed)], 1, &[800.0]).is_err());
        // A booster lifts the other cells above the rail.
        let boost: Arc<dyn Mechanism> = Arc::new(Boost { raise_mv: 50.0 });
        let raised = safe(2, Supply::RaisedByMv(20.0));
        assert!(remarks(vec![boost.clone()], 1, &[900.0]).is_ok());
        assert!(remarks(vec![boost, raised], 1, &[900.0]).is_err());
    }
}
