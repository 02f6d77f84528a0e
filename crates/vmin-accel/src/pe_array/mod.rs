//! A register-level simulation of the array: the reference for the causal closed forms.
//!
//! Each processing element (PE) reads the registers of its left and upper neighbours as they were after
//! the cycle before; nothing else moves data. Control signals travel with the operands, so a PE in row
//! `r` and column `c` is `r + c` cycles behind the corner.
//!
//! ```text
//!             an operand stays               sums stay
//!   held      the operand                    the sum
//!   spare     the next tile's, arriving      the last tile's sum, leaving
//!   right     the operand moving right       the operand moving right
//!   down      the sum moving down            the operand moving down
//!   pass      the next tile moving down      -
//! ```
//!
//! With `double_buffer` the next fold starts as soon as its tile is in (or the spare registers are
//! free), without it when the last result of the fold before has left. Both schedules run on the same
//! registers. [`Simulation`] advances cycle by cycle; [`render`] draws it.

pub mod render;
mod schedule;

use schedule::Schedule;

use crate::dataflow::{ArraySize, Dataflow, Operand, Path};

/// Most multiply-accumulates simulated.
pub const MACS_MAX: u64 = 1 << 26;
/// Most processing elements simulated.
pub const ELEMENTS_MAX: u64 = 1 << 14;

/// Why a simulation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// A dimension is zero, or the case is too large to be followed cycle by cycle.
    #[error(
        "a simulation needs dimensions of at least 1, at most {MACS_MAX} multiply-accumulates and \
         at most {ELEMENTS_MAX} processing elements"
    )]
    Size,
    /// A matrix that does not have the size of its dimensions.
    #[error("a matrix of {expected} values was expected, not {found}")]
    Matrix {
        /// Values that the dimensions need.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

/// Activity of a PE in one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    #[default]
    Idle,
    /// Takes a value of the next tile.
    Load,
    /// Multiplies and adds.
    Mac,
    /// Passes a finished sum down.
    Drain,
}

/// The registers of one PE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pe {
    /// The value that stays.
    pub held: i32,
    /// The next fold's value that stays, or the last fold's finished sum.
    pub spare: i32,
    /// The value that moves right.
    pub right: i32,
    /// The value that moves down.
    pub down: i32,
    /// A value of the next tile on its way to a lower row.
    pub pass: i32,
    /// Its activity in the last cycle; multiplying takes precedence.
    pub activity: Activity,
}

/// One product on one array.
#[derive(Clone, Debug)]
pub struct Simulation {
    rows: usize,
    columns: usize,
    dataflow: Dataflow,
    shape: [usize; 3],
    a: Vec<i8>,
    b: Vec<i8>,
    schedule: Schedule,
    pes: Vec<Pe>,
    before: Vec<Pe>,
    cycle: u64,
    sums: Vec<i32>,
}

impl Simulation {
    /// Prepares `C[m, n] = A[m, k] * B[k, n]`, both row by row.
    ///
    /// # Errors
    /// Empty or too large, or matrices of other sizes.
    pub fn new(
        array: ArraySize,
        dataflow: Dataflow,
        double_buffer: bool,
        [m, n, k]: [usize; 3],
        a: Vec<i8>,
        b: Vec<i8>,
    ) -> Result<Self, SimulationError> {
        let macs = (m as u64).checked_mul(n as u64).and_then(|x| x.checked_mul(k as u64));
        if m == 0 || n == 0 || k == 0 || macs.is_none_or(|macs| macs > MACS_MAX) {
            return Err(SimulationError::Size);
        }
        if array.elements() > ELEMENTS_MAX {
            return Err(SimulationError::Size);
        }
        for (expected, found) in [(m * k, a.len()), (k * n, b.len())] {
            if expected != found {
                return Err(SimulationError::Matrix { expected, found });
            }
        }
        let side = |side: u64| usize::try_from(side).map_err(|_| SimulationError::Size);
        let (rows, columns) = (side(array.rows())?, side(array.columns())?);
        Ok(Self {
            rows,
            columns,
            dataflow,
            shape: [m, n, k],
            a,
            b,
            schedule: Schedule::new([rows, columns], dataflow, double_buffer, [m, n, k]),
            pes: vec![Pe::default(); rows * columns],
            before: vec![Pe::default(); rows * columns],
            cycle: 0,
            sums: vec![0; m * n],
        })
    }

    /// Rows and columns of the array.
    #[must_use]
    pub const fn size(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Cycles done.
    #[must_use]
    pub const fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The PEs after the last cycle, row by row.
    #[must_use]
    pub fn pes(&self) -> &[Pe] {
        &self.pes
    }

    /// The results that have left the array, row by row; complete when all cycles are done.
    #[must_use]
    pub fn sums(&self) -> &[i32] {
        &self.sums
    }

    /// One cycle; false, and nothing done, after the last.
    pub fn step(&mut self) -> bool {
        if self.cycle >= self.schedule.cycles() {
            return false;
        }
        self.before.clone_from(&self.pes);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let pe = if self.dataflow.sums_stay() {
                    self.sum_stays(row, column)
                } else {
                    self.operand_stays(row, column)
                };
                self.pes[row * self.columns + column] = pe;
            }
        }
        self.cycle += 1;
        true
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        while self.step() {}
    }

    /// The PE itself, its left and its upper neighbour, one cycle ago. Outside there are zeros.
    fn neighbours(&self, row: usize, column: usize) -> [Pe; 3] {
        let at = row * self.columns + column;
        [
            self.before[at],
            if column > 0 { self.before[at - 1] } else { Pe::default() },
            if row > 0 { self.before[at - self.columns] } else { Pe::default() },
        ]
    }

    fn operand_stays(&mut self, row: usize, column: usize) -> Pe {
        let [old, left, above] = self.neighbours(row, column);
        let mut pe = Pe { activity: Activity::Idle, ..old };
        let time = self.cycle.cast_signed() - (row + column) as i64;

        // The next tile comes in from above, the bottom row first; each row keeps its own.
        let entering = self.schedule.loading(time);
        pe.pass = if row == 0 {
            entering.map_or(0, |(fold, step)| self.held(fold, self.rows - 1 - step, column))
        } else {
            above.pass
        };
        if entering.is_some_and(|(_, step)| self.rows - 1 - step == row) {
            pe.spare = pe.pass;
            pe.activity = Activity::Load;
        }
        let streaming = self.schedule.streaming(time);
        if let Some((_, 0)) = streaming {
            pe.held = old.spare;
        }
        pe.right = if column > 0 {
            left.right
        } else {
            streaming.map_or(0, |(fold, step)| self.moving(fold, step, row))
        };
        pe.down = above.down.wrapping_add(pe.held.wrapping_mul(pe.right));
        if let Some((fold, step)) = streaming {
            if self.schedule.works(fold, row, column) {
                pe.activity = Activity::Mac;
            }
            if row + 1 == self.rows {
                self.add(fold, step, column, pe.down);
            }
        }
        pe
    }

    fn sum_stays(&mut self, row: usize, column: usize) -> Pe {
        let [old, left, above] = self.neighbours(row, column);
        let mut pe = Pe { activity: Activity::Idle, ..old };
        let time = self.cycle.cast_signed() - (row + column) as i64;
        let streaming = self.schedule.streaming(time);
        let finished = self.schedule.finished(time);

        // From the cycle in which the bottom row has finished, a column of sums moves down and out.
        let below = time + row as i64;
        if let Some((fold, step)) = self.schedule.draining(below, self.rows) {
            if row + 1 == self.rows {
                let sum = if step == 0 { old.held } else { old.spare };
                self.put(fold, self.rows - 1 - step, column, sum);
            }
            if row >= step {
                pe.activity = Activity::Drain;
            }
            if row > step {
                pe.spare = above.spare;
            }
        }
        if finished.is_some() && row + 1 < self.rows {
            pe.spare = old.held;
        }
        pe.right = if column > 0 {
            left.right
        } else {
            streaming.map_or(0, |(fold, step)| self.moving(fold, step, row))
        };
        pe.down = if row > 0 {
            above.down
        } else {
            streaming.map_or(0, |(fold, step)| self.falling(fold, step, column))
        };
        if let Some((fold, step)) = streaming {
            let sum = if step == 0 { 0 } else { old.held };
            pe.held = sum.wrapping_add(pe.right.wrapping_mul(pe.down));
            if self.schedule.works(fold, row, column) {
                pe.activity = Activity::Mac;
            }
        }
        pe
    }

    /// Element of the operand on a path, at a row, a column and a step of a fold; zero beyond the edge.
    fn element(&self, path: Path, fold: usize, row: usize, column: usize, step: usize) -> i32 {
        let [[i, j, l], [m, n, k]] = [self.coordinates(fold, row, column, step), self.shape];
        match self.dataflow.operand(path) {
            Operand::Ifmap if i < m && l < k => i32::from(self.a[i * k + l]),
            Operand::Filter if l < k && j < n => i32::from(self.b[l * n + j]),
            // Sums begin at zero.
            Operand::Ifmap | Operand::Filter | Operand::Ofmap => 0,
        }
    }

    fn coordinates(&self, fold: usize, row: usize, column: usize, step: usize) -> [usize; 3] {
        let [r, c] = self.schedule.corner(fold);
        self.dataflow.coordinates([r + row, c + column, step])
    }

    /// The value that stays in a PE during a fold.
    fn held(&self, fold: usize, row: usize, column: usize) -> i32 {
        self.element(Path::Stays, fold, row, column, 0)
    }

    /// The value that enters a row from the left.
    fn moving(&self, fold: usize, step: usize, row: usize) -> i32 {
        self.element(Path::Right, fold, row, 0, step)
    }

    /// The value that enters a column from above.
    fn falling(&self, fold: usize, step: usize, column: usize) -> i32 {
        self.element(Path::Down, fold, 0, column, step)
    }

    /// A partial sum leaves at the bottom and is added to those of the folds before.
    fn add(&mut self, fold: usize, step: usize, column: usize, value: i32) {
        if let Some(sum) = self.sum(fold, 0, column, step) {
            *sum = sum.wrapping_add(value);
        }
    }

    /// A finished sum leaves at the bottom.
    fn put(&mut self, fold: usize, row: usize, column: usize, value: i32) {
        if let Some(sum) = self.sum(fold, row, column, 0) {
            *sum = value;
        }
    }

    fn sum(&mut self, fold: usize, row: usize, column: usize, step: usize) -> Option<&mut i32> {
        let [[i, j, _], [m, n, _]] = [self.coordinates(fold, row, column, step), self.shape];
        (i < m && j < n).then(|| &mut self.sums[i * n + j])
    }
}
