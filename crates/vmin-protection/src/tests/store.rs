//! Store rules against slow readings of what they promise.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use vmin_quant::Encoding;
use vmin_sram::{CellEffect, Fault};

use crate::Mechanism;
use crate::mechanism::Effect;
use crate::mechanisms::{
    ClosestCode, Compensate, InvertRows, PermuteChannels, RotateBits, StrongestRows,
};
use crate::store::{Axis, CellPlaces, Channels, Content, Damage, KnownChip, Moments, Storage};
use crate::words::{CodeBit, Mask, Scheme, Stored, Stores, TowardZero};

static NEVER: AtomicBool = AtomicBool::new(false);

/// A small generator: its numbers need no more than to differ.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn table(encoding: Encoding, bits: u8) -> Vec<i16> {
    encoding.decode_table(bits).into_iter().map(i16::from).collect()
}

fn mask_of(cells: &[(u32, CellEffect)]) -> Mask<u32> {
    let mut mask = Mask::NONE;
    for &(bit, effect) in cells {
        mask.add(bit, effect);
    }
    mask
}

#[test]
fn the_closest_code_is_the_best_of_all_codes() {
    let encodings = [Encoding::TwosComplement, Encoding::OffsetBinary, Encoding::SignMagnitude];
    let effects = [
        None,
        Some(CellEffect::Inverts),
        Some(CellEffect::Holds(false)),
        Some(CellEffect::Holds(true)),
    ];
    let mut differ = 0;
    for encoding in encodings {
        for bits in 1..=5_u8 {
            let values = table(encoding, bits);
            let damage = Damage::new(values.clone(), vec![3], 1);
            for pattern in 0..4_u32.pow(bits.into()) {
                let cells: Vec<(u32, CellEffect)> = (0..u32::from(bits))
                    .filter_map(|bit| Some((bit, effects[(pattern >> (2 * bit) & 3) as usize]?)))
                    .collect();
                let mask = mask_of(&cells);
                for wanted in 0..1_u32 << bits {
                    let value = |code: u32| i32::from(values[code as usize]);
                    let written = damage.closest(wanted, mask);
                    assert!(written < 1 << bits);
                    let read = mask.read(written);
                    let key = |read: u32| ((value(read) - value(wanted)).abs(), value(read).abs());
                    // What can be read at all, trying every code.
                    let best = (0..1_u32 << bits).map(|code| key(mask.read(code))).min().unwrap();
                    assert_eq!(key(read), best, "{encoding:?} {bits} {cells:?} {wanted}");
                    differ += u32::from(read != wanted);
                    if mask.read(wanted) == wanted {
                        assert_eq!(written, wanted, "a code that reads right stays");
                    }
                }
            }
        }
    }
    assert!(differ > 10_000);
}

/// Codes of one width behind a gap of some bits.
struct Row {
    gap: u64,
    bits: u64,
    codes: u64,
}

impl Stores for Row {
    fn held(&self, position: u64) -> Option<CodeBit> {
        let within = position.checked_sub(self.gap)?;
        let (code, bit) = (within / self.bits, (within % self.bits) as u8);
        (code < self.codes).then_some(CodeBit { tensor: 0, code: code as usize, bit })
    }
}

/// The first codes as rows of channels, and columns of others, two by two if there are enough.
fn channels(codes: usize) -> Vec<Channels> {
    let axis = |stride| Axis { tensor: 0, stride };
    match codes {
        0 | 1 => Vec::new(),
        _ if codes.is_multiple_of(4) => vec![
            Channels { count: codes / 4, axes: vec![axis(4)] },
            Channels { count: 4, axes: vec![axis(1)] },
        ],
        _ => vec![Channels { count: codes, axes: vec![axis(1)] }],
    }
}

/// A memory of a few rows with a content and known faults.
struct Case {
    stores: Row,
    codes: Vec<u32>,
    faults: Vec<Fault>,
    damage: Vec<Damage>,
    /// Of channels of [`SIDE`] codes, of which the last may be cut short.
    moments: Vec<Moments>,
    tensors: Vec<Stored>,
    channels: Vec<Channels>,
    columns: u64,
    rows: u64,
}

/// Codes of a channel.
const SIDE: usize = 3;

/// Moments of random inputs.
fn moments(numbers: &mut Numbers) -> Moments {
    let inputs: Vec<i64> = (0..4 * SIDE).map(|_| numbers.below(9) as i64 - 4).collect();
    let of =
        |at: usize| -> i64 { inputs.chunks(SIDE).map(|of| of[at / SIDE] * of[at % SIDE]).sum() };
    Moments::new(SIDE, (0..SIDE * SIDE).map(|at| of(at) as i32).collect())
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let bits = [3, 4, 8][numbers.below(3) as usize];
        let (columns, rows) = (2 * bits * (1 + numbers.below(2)), 2 + numbers.below(3));
        let gap = if numbers.below(2) == 0 { 0 } else { numbers.below(bits) };
        let codes = 1 + numbers.below((rows * columns - gap) / bits);
        let faults = (0..rows * columns)
            .filter_map(|address| {
                let effect = match numbers.below(12) {
                    0 => CellEffect::Inverts,
                    1 => CellEffect::Holds(false),
                    2 => CellEffect::Holds(true),
                    _ => return None,
                };
                Some(Fault { address, effect })
            })
            .collect();
        let encoding =
            [Encoding::TwosComplement, Encoding::SignMagnitude][numbers.below(2) as usize];
        Self {
            codes: (0..codes).map(|_| numbers.below(1 << bits) as u32).collect(),
            stores: Row { gap, bits, codes },
            faults,
            damage: vec![Damage::new(table(encoding, bits as u8), vec![1, 9], codes as usize)],
            moments: vec![moments(&mut numbers)],
            tensors: vec![Stored {
                codes: codes as usize,
                bits: bits as u8,
                zeros: vec![0],
                toward_zero: TowardZero::Clear,
            }],
            channels: channels(codes as usize),
            columns,
            rows,
        }
    }

    /// The storage after these rules, and the damage of what is then read, told cell by cell.
    fn run(&self, rules: &[&dyn Mechanism]) -> (Storage, u64) {
        self.run_until(rules, &NEVER)
    }

    fn run_until(&self, rules: &[&dyn Mechanism], stop: &AtomicBool) -> (Storage, u64) {
        let wanted = |_: usize, code: usize| self.codes[code];
        let bank = |row: u64| u32::from(row >= self.rows / 2);
        let last = (self.stores.gap + self.stores.bits * self.stores.codes - 1) / self.columns;
        let cells = CellPlaces { columns: self.columns, rows: self.rows, bank: &bank };
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| {
                let Effect::Store(rule) = rule.effect(8) else { panic!("{rule:?}") };
                rule
            })
            .collect();
        let chip = KnownChip {
            contents: vec![Content {
                number: 0,
                stores: &self.stores,
                codes: Some(&wanted),
                known: self.faults.clone(),
                known_checks: Vec::new(),
                rows: (self.stores.gap / self.columns..=last).collect(),
            }],
            cells,
            tensors: &self.tensors,
            damage: &self.damage,
            moments: &self.moments,
            used_bits: 32,
            scheme: &Scheme::Plain,
            channels: &self.channels,
            writes_around: rules.iter().any(|rule| rule.writes_around()),
            stop,
        };
        let mut storage = Storage::default();
        for rule in &rules {
            rule.decide(&chip, &mut storage);
        }
        let read = self.read(&storage);
        let harm = |(code, &wanted): (usize, &u32)| self.damage[0].of(code, wanted, read[code]);
        let harm = self.codes.iter().enumerate().map(harm).sum();
        (storage, harm)
    }

    /// The codes that are read.
    fn read(&self, storage: &Storage) -> Vec<u32> {
        let bank = |row: u64| u32::from(row >= self.rows / 2);
        let cells = CellPlaces { columns: self.columns, rows: self.rows, bank: &bank };
        let faults =
            storage.data_faults(0, &self.stores, &self.tensors, cells, self.faults.clone());
        let mut written = self.codes.clone();
        for &(_, code, value) in storage.codes(0) {
            written[code] = value;
        }
        let mut masks: BTreeMap<usize, Mask<u32>> = BTreeMap::new();
        for fault in faults {
            let Some(held) = storage.ordered(&self.stores).held(fault.address) else { continue };
            let mask = masks.entry(held.code).or_insert(Mask::NONE);
            mask.add(held.bit.into(), fault.effect);
        }
        let mask = |code| masks.get(&code).copied().unwrap_or(Mask::NONE);
        written.into_iter().enumerate().map(|(code, written)| mask(code).read(written)).collect()
    }

    /// The squared errors of the sums of all channels, if codes read so.
    fn loss(&self, read: &[u32]) -> i64 {
        let error = |(&wanted, &read): (&u32, &u32)| {
            self.damage[0].value(read) - self.damage[0].value(wanted)
        };
        let errors: Vec<i64> = self.codes.iter().zip(read).map(error).collect();
        let of_channel = |(channel, errors): (usize, &[i64])| -> i64 {
            let matrix = self.moments[0].channel(channel);
            let pairs = (0..SIDE * SIDE).map(|at| [at / SIDE, at % SIDE]);
            pairs.map(|[a, b]| i64::from(matrix[a * SIDE + b]) * errors[a] * errors[b]).sum()
        };
        errors.chunks_exact(SIDE).enumerate().map(of_channel).sum()
    }
}

const RULES: [&dyn Mechanism; 5] = [
    &StrongestRows { share: None, ways: None },
    &PermuteChannels {},
    &RotateBits {},
    &InvertRows {},
    &ClosestCode {},
];

/// The rules whose bits are set.
fn chosen(set: usize) -> Vec<&'static dyn Mechanism> {
    RULES
        .into_iter()
        .enumerate()
        .filter_map(|(bit, rule)| (set >> bit & 1 == 1).then_some(rule))
        .collect()
}

/// Rules decide one after the other, knowing whether codes will be written around what is left.
#[test]
fn every_rule_does_no_more_damage_than_is_left_by_those_before_it() {
    let mut better = [0; 5];
    for seed in 0..400 {
        let case = Case::new(seed);
        let none = case.run(&[]).1;
        for around in [0, 16] {
            better[4] += u32::from(case.run(&chosen(around)).1 < none);
            for set in 1..16_usize {
                let after = case.run(&chosen(set | around)).1;
                let last = set.ilog2() as usize;
                let without = case.run(&chosen(set & !(1 << last) | around)).1;
                assert!(after <= without, "seed {seed}, set {set}: {after} > {without}");
                assert!(after <= none, "seed {seed}, set {set}: {after} > {none}");
                better[last] += u32::from(after < without);
            }
        }
    }
    assert!(better.iter().all(|count| *count > 100), "{better:?}");
}

#[test]
fn nothing_known_changes_no_bit() {
    for seed in 0..50 {
        let case = Case { faults: Vec::new(), ..Case::new(seed) };
        let (storage, harm) = case.run(&[&chosen(31)[..], &[&COMPENSATE]].concat());
        assert_eq!((harm, storage.codes(0)), (0, &[][..]));
        assert!(storage.rotations.is_empty());
        assert!(storage.channels.is_empty());
        assert!(storage.contents[&0].inverted_rows.is_empty());
    }
}

const COMPENSATE: Compensate = Compensate { images: 1 };

/// After every set of rules the sums are nearer to those that are wanted, and no other value of one code that may
/// move would bring them nearer.
#[test]
fn no_single_code_compensates_better() {
    let (mut better, mut alone) = (0, 0);
    for seed in 0..400 {
        let case = Case::new(seed);
        for set in 0..32 {
            let before = case.loss(&case.read(&case.run(&chosen(set)).0));
            let (storage, _) = case.run(&[&chosen(set)[..], &[&COMPENSATE]].concat());
            let read = case.read(&storage);
            let after = case.loss(&read);
            assert!(after <= before, "seed {seed}, set {set}: {after} > {before}");
            better += u32::from(after < before);
            alone += u32::from(set == 0 && after < before);
            let bank = |row: u64| u32::from(row >= case.rows / 2);
            let cells = CellPlaces { columns: case.columns, rows: case.rows, bank: &bank };
            let faults = case.faults.clone();
            let faults = storage.data_faults(0, &case.stores, &case.tensors, cells, faults);
            for code in 0..case.codes.len() {
                let stores = storage.ordered(&case.stores);
                let of_code = |fault: &Fault| stores.held(fault.address).map(|of| of.code);
                if faults.iter().any(|fault| of_code(fault) == Some(code)) {
                    continue;
                }
                let mut other = read.clone();
                for value in 0..1 << case.stores.bits {
                    other[code] = value;
                    assert!(case.loss(&other) >= after, "seed {seed}, set {set}, code {code}");
                }
            }
        }
    }
    assert!(better > 1000 && alone > 50, "{better} better, {alone} alone");
}

#[test]
fn without_moments_nothing_is_compensated() {
    for seed in 0..50 {
        let case = Case { moments: vec![Moments::default()], ..Case::new(seed) };
        let with = case.run(&[&chosen(31)[..], &[&COMPENSATE]].concat());
        assert_eq!(with, case.run(&chosen(31)));
    }
}

/// With ways, rows keep their place within a section, and no other choice of sections leaves less in them.
#[test]
fn rows_lie_at_their_place_in_the_best_sections() {
    let (mut moved, mut shared) = (0, 0);
    for seed in 0..400 {
        let case = Case::new(seed);
        let none = case.run(&[]).1;
        for ways in [2, 4] {
            let (storage, harm) = case.run(&[&StrongestRows { share: None, ways: Some(ways) }]);
            assert!(harm <= none, "seed {seed}: {harm} > {none}");
            let Some(table) = storage.rows else { continue };
            let section = case.rows.div_ceil(ways.into());
            let hurt = |row: u64| -> u64 {
                let faults = case.faults.iter().filter(|of| of.address / case.columns == row);
                let squared = faults.filter_map(|of| {
                    let same =
                        (0..case.rows).map(|row| row * case.columns + of.address % case.columns);
                    let bit = same.filter_map(|at| Some(case.stores.held(at)?.bit)).max()?;
                    Some((1 + u64::from(of.effect == CellEffect::Inverts)) << (2 * bit))
                });
                squared.sum()
            };
            let taken: Vec<u64> = table.pairs().iter().map(|&(_, row)| row).collect();
            for (number, &row) in (0..).zip(&taken) {
                assert_eq!(row % section, number % section, "seed {seed}");
                let free = (0..case.rows).filter(|other| other % section == row % section);
                let free = free.filter(|other| !taken.contains(other));
                assert!(free.clone().all(|other| hurt(other) >= hurt(row)), "seed {seed}, {row}");
                moved += u32::from(row != number);
                shared += u32::from(number >= section);
            }
        }
    }
    assert!(moved > 50 && shared > 50, "{moved} moved, {shared} shared");
}

#[test]
fn flags_are_the_best_of_all_flags() {
    let mut turned = 0;
    for seed in 0..200 {
        let case = Case::new(seed);
        // A code in two rows is decided row by row, which need not be the best.
        if case.stores.gap > 0 || !case.columns.is_multiple_of(case.stores.bits) {
            continue;
        }
        for around in [&[][..], &RULES[4..]] {
            let with = |flags: &[&'static dyn Mechanism]| case.run(&[flags, around].concat());
            let (storage, harm) = with(&RULES[3..4]);
            turned += storage.contents[&0].inverted_rows.len();
            let best =
                (0..1_u64 << case.rows).map(|flags| case.with_flags(flags, !around.is_empty()));
            assert_eq!(Some(harm), best.min(), "seed {seed}");
        }
    }
    assert!(turned > 100, "{turned} rows");
}

impl Case {
    /// The damage with these rows inverted, told bit by bit.
    fn with_flags(&self, flags: u64, around: bool) -> u64 {
        let of_code = |code: usize| {
            let mut cells = Vec::new();
            for fault in &self.faults {
                let Some(held) = self.stores.held(fault.address) else { continue };
                let inverted = flags >> (fault.address / self.columns) & 1 == 1;
                let effect = match fault.effect {
                    CellEffect::Holds(value) => CellEffect::Holds(value ^ inverted),
                    CellEffect::Inverts => CellEffect::Inverts,
                };
                if held.code == code {
                    cells.push((u32::from(held.bit), effect));
                }
            }
            let (mask, wanted) = (mask_of(&cells), self.codes[code]);
            let written = if around { self.damage[0].closest(wanted, mask) } else { wanted };
            self.damage[0].of(code, wanted, mask.read(written))
        };
        (0..self.codes.len()).map(of_code).sum()
    }
}

/// Cells above those in use hold nothing: faulty ones there neither repel a row nor a rotation.
#[test]
fn cells_that_are_not_in_use_do_no_harm() {
    let stores = Row { gap: 0, bits: 8, codes: 2 };
    let toward_zero = TowardZero::Clear;
    let tensors = [Stored { codes: 2, bits: 8, zeros: vec![0], toward_zero }];
    let faulty = |address| Fault { address, effect: CellEffect::Holds(true) };
    let chip = |known: Vec<Fault>, used_bits| KnownChip {
        contents: vec![Content {
            number: 0,
            stores: &stores,
            codes: None,
            known,
            known_checks: Vec::new(),
            rows: vec![0, 1],
        }],
        cells: CellPlaces { columns: 8, rows: 4, bank: &|_| 0 },
        tensors: &tensors,
        damage: &[],
        moments: &[],
        used_bits,
        scheme: &Scheme::Plain,
        channels: &[],
        writes_around: false,
        stop: &NEVER,
    };
    let decided = |rule: &dyn Mechanism, known: Vec<Fault>, used_bits| {
        let chip = chip(known, used_bits);
        let Effect::Store(rule) = rule.effect(8) else { unreachable!() };
        let mut storage = Storage::default();
        rule.decide(&chip, &mut storage);
        (chip.total_harm(&storage), storage)
    };
    let everywhere = |column| (0..4_u64).map(|row| faulty(8 * row + column)).collect::<Vec<_>>();
    for used in 1..8 {
        let (harm, storage) = decided(&RotateBits {}, everywhere(0), used);
        assert_eq!((harm, storage.rotations.len()), (0, 1), "{used} bits in use");
    }
    assert_eq!(decided(&RotateBits {}, everywhere(0), 8).0, 2);
    // Rows 0 and 1 have a fault in the highest bit, rows 2 and 3 in the lowest.
    let known = vec![faulty(7), faulty(15), faulty(16), faulty(24)];
    let rows = |used| decided(&StrongestRows::default(), known.clone(), used);
    assert_eq!(rows(8).0, 2);
    // Where no known cell does harm, no row moves.
    let (harm, storage) = rows(7);
    assert_eq!((harm, storage.rows), (0, None));
}

/// All orders of `left` behind `order`.
fn orders(order: &mut Vec<usize>, left: &mut Vec<usize>, each: &mut dyn FnMut(&[usize])) {
    if left.is_empty() {
        each(order);
    }
    for at in 0..left.len() {
        order.push(left.remove(at));
        orders(order, left, each);
        left.insert(at, order.pop().expect("a channel"));
    }
}

#[test]
fn no_order_of_channels_leaves_less() {
    let mut moved = 0;
    for seed in 0..400 {
        let case = Case::new(seed);
        let codes = case.codes.len();
        if !(2..=6).contains(&codes) {
            continue;
        }
        let channels = vec![Channels { count: codes, axes: vec![Axis { tensor: 0, stride: 1 }] }];
        let case = Case { channels, ..case };
        for around in [false, true] {
            let around_rule: &[&dyn Mechanism] = if around { &RULES[4..] } else { &[] };
            let rules = [&RULES[1..2], around_rule].concat();
            let (storage, harm) = case.run(&rules);
            moved += u32::from(!storage.channels.is_empty());
            let (stopped, _) = case.run_until(&rules[..1], &AtomicBool::new(true));
            assert_eq!(stopped, Storage::default(), "no group is decided once stopped");
            let mut least = u64::MAX;
            orders(&mut Vec::new(), &mut (0..codes).collect(), &mut |order| {
                least = least.min(case.with_order(order, around));
            });
            assert_eq!(harm, least, "seed {seed}");
        }
    }
    assert!(moved > 50, "{moved} moved");
}

impl Case {
    /// The damage with the code of this number at each place, told bit by bit.
    fn with_order(&self, order: &[usize], around: bool) -> u64 {
        let of_place = |(place, &code): (usize, &usize)| {
            let mut cells = Vec::new();
            for fault in &self.faults {
                let Some(held) = self.stores.held(fault.address) else { continue };
                if held.code == place {
                    cells.push((u32::from(held.bit), fault.effect));
                }
            }
            let (mask, wanted) = (mask_of(&cells), self.codes[code]);
            let written = if around { self.damage[0].closest(wanted, mask) } else { wanted };
            self.damage[0].of(code, wanted, mask.read(written))
        };
        order.iter().enumerate().map(of_place).sum()
    }
}
