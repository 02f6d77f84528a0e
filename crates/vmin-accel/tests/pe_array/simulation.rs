//! A systolic array, register by register.

/// A row-major matrix of small integers.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    values: Vec<i32>,
}

impl Matrix {
    pub(crate) fn zero(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0; rows * columns] }
    }

    /// Values of int8, from a small generator.
    pub(crate) fn random(rows: usize, columns: usize, seed: u64) -> Self {
        let mut matrix = Self::zero(rows, columns);
        let mut state = seed | 1;
        for value in &mut matrix.values {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *value = i32::from((state >> 56) as u8 as i8);
        }
        matrix
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> i32 {
        self.values[row * self.columns + column]
    }

    /// The value, or zero outside: what an edge of a partial tile sees.
    fn padded(&self, row: usize, column: usize) -> i32 {
        if row < self.rows && column < self.columns { self.at(row, column) } else { 0 }
    }

    fn set(&mut self, row: usize, column: usize, value: i32) {
        self.values[row * self.columns + column] = value;
    }

    fn transposed(&self) -> Self {
        let mut other = Self::zero(self.columns, self.rows);
        for row in 0..self.rows {
            for column in 0..self.columns {
                other.set(column, row, self.at(row, column));
            }
        }
        other
    }
}

/// What a simulation found.
pub(crate) struct Run {
    pub(crate) cycles: u64,
    /// Row-major sums.
    pub(crate) sums: Vec<i32>,
}

/// Registers of all processing elements.
struct Array {
    rows: usize,
    columns: usize,
    stays: Matrix,
    passes_right: Matrix,
    passes_down: Matrix,
    cycles: u64,
}

impl Array {
    fn new(rows: usize, columns: usize) -> Self {
        let zero = || Matrix::zero(rows, columns);
        Self { rows, columns, stays: zero(), passes_right: zero(), passes_down: zero(), cycles: 0 }
    }

    /// One cycle: every element computes from its neighbours' old registers. `element` gets (stays,
    /// from the left, from above) and gives (stays, to the right, down).
    fn cycle(
        &mut self,
        left: impl Fn(usize) -> i32,
        top: impl Fn(usize) -> i32,
        element: impl Fn(i32, i32, i32) -> (i32, i32, i32),
    ) {
        let (old_right, old_down) = (self.passes_right.clone(), self.passes_down.clone());
        for row in 0..self.rows {
            for column in 0..self.columns {
                let from_left = if column == 0 { left(row) } else { old_right.at(row, column - 1) };
                let from_above = if row == 0 { top(column) } else { old_down.at(row - 1, column) };
                let (stays, right, down) =
                    element(self.stays.at(row, column), from_left, from_above);
                self.stays.set(row, column, stays);
                self.passes_right.set(row, column, right);
                self.passes_down.set(row, column, down);
            }
        }
        self.cycles += 1;
    }

    /// One cycle in which what stays moves one row down, a new row entering at the top.
    fn shift_down(&mut self, top: impl Fn(usize) -> i32) {
        for row in (0..self.rows).rev() {
            for column in 0..self.columns {
                let value = if row == 0 { top(column) } else { self.stays.at(row - 1, column) };
                self.stays.set(row, column, value);
            }
        }
        self.cycles += 1;
    }
}

/// Element `index - delay` of a skewed stream, none before it starts.
fn skewed(index: usize, delay: usize) -> usize {
    index.checked_sub(delay).unwrap_or(usize::MAX)
}

/// `moving [t, s] * fixed [s, u]`: a tile of `fixed` stays, rows of `moving` enter from the left, row
/// `r` of the array delayed by `r` cycles; sums move down and leave at the bottom.
fn operand_stationary(
    rows: usize,
    columns: usize,
    moving: &Matrix,
    fixed: &Matrix,
) -> (u64, Matrix) {
    let mut array = Array::new(rows, columns);
    let mut sums = Matrix::zero(moving.rows, fixed.columns);
    for first_column in (0..fixed.columns).step_by(columns) {
        for first_row in (0..fixed.rows).step_by(rows) {
            for step in 0..rows {
                // The bottom row of the tile goes first.
                let row = first_row + rows - 1 - step;
                array.shift_down(|column| fixed.padded(row, first_column + column));
            }
            let mut missing = moving.rows * columns;
            let mut time = 0;
            while missing > 0 {
                array.cycle(
                    |row| moving.padded(skewed(time, row), first_row + row),
                    |_| 0,
                    |stays, left, above| (stays, left, above + stays * left),
                );
                // The sum of vector t leaves column c in cycle t + (rows - 1) + c.
                for column in 0..columns {
                    let vector = skewed(time, rows - 1 + column);
                    if vector < moving.rows {
                        missing -= 1;
                        if first_column + column < fixed.columns {
                            let at = (vector, first_column + column);
                            let sum = array.passes_down.at(rows - 1, column);
                            // The accumulator memory adds what the blocks of rows give.
                            sums.set(at.0, at.1, sums.at(at.0, at.1) + sum);
                        }
                    }
                }
                time += 1;
            }
        }
    }
    (array.cycles, sums)
}

/// Weights stay, inputs move.
pub(crate) fn weight_stationary(rows: usize, columns: usize, a: &Matrix, b: &Matrix) -> Run {
    let (cycles, sums) = operand_stationary(rows, columns, a, b);
    Run { cycles, sums: sums.values }
}

/// Inputs stay, weights move: the transposed product.
pub(crate) fn input_stationary(rows: usize, columns: usize, a: &Matrix, b: &Matrix) -> Run {
    let (cycles, sums) = operand_stationary(rows, columns, &b.transposed(), &a.transposed());
    Run { cycles, sums: sums.transposed().values }
}

/// Sums stay; inputs enter from the left, weights from above, both skewed; then the tile is shifted
/// out at the bottom.
pub(crate) fn output_stationary(rows: usize, columns: usize, a: &Matrix, b: &Matrix) -> Run {
    let mut array = Array::new(rows, columns);
    let mut sums = Matrix::zero(a.rows, b.columns);
    for first_column in (0..b.columns).step_by(columns) {
        for first_row in (0..a.rows).step_by(rows) {
            // The last product reaches the far corner (rows - 1) + (columns - 1) cycles after the
            // first element would with a stream of length 1.
            let far_corner = (rows - 1) + (columns - 1);
            for time in 0..a.columns + far_corner {
                array.cycle(
                    |row| a.padded(first_row + row, skewed(time, row)),
                    |column| b.padded(skewed(time, column), first_column + column),
                    |stays, left, above| (stays + left * above, left, above),
                );
            }
            for step in 0..rows {
                let row = first_row + rows - 1 - step;
                for column in first_column..first_column + columns {
                    if row < a.rows && column < b.columns {
                        sums.set(row, column, array.stays.at(rows - 1, column - first_column));
                    }
                }
                array.shift_down(|_| 0);
            }
        }
    }
    Run { cycles: array.cycles, sums: sums.values }
}
