//! Ranges of all values of a recipe, and the rules for values that depend on each other.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{BatchSize, LearnedClip, Recipe, Sharpness, StartPixels};
use crate::bit_errors::{
    Adversary, BitErrors, ChipPopulation, Fade, FaultKindChoice, Measured, Method, Pattern,
    Streaming, SumKeeping,
};
use crate::{Schedule, TrainError, WeightScheme};

/// Bits of a weight code.
pub(super) const BITS: RangeInclusive<i64> = 2..=8;
/// Chips in the test after an epoch.
pub(super) const CHIPS: RangeInclusive<i64> = 1..=10_000;
/// Rows or columns of a bank.
pub(super) const BANK_SIDE: RangeInclusive<i64> = 1..=1 << 20;

/// A value out of its range.
pub(super) struct Problem {
    /// Path of the value, such as `optimizer.momentum` or `clip_fractions[1]`.
    pub(super) field: String,
    /// The value.
    pub(super) found: String,
    /// Its range.
    pub(super) expected: &'static str,
    /// Whether the range follows from other values.
    pub(super) dependent: bool,
}

impl Recipe {
    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// [`TrainError::Value`] for the first value out of its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let Some(Problem { field, found, expected, .. }) = self.problems().into_iter().next()
        else {
            return Ok(());
        };
        Err(TrainError::Value { field, found, expected })
    }

    /// All values out of their ranges.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems(Vec::new());
        problems.value(!self.name.is_empty(), "name", &"empty", "a name");
        let expected = "1 or more, or 0 beside `start`";
        problems.beside(self.epochs > 0 || self.start.is_some(), "epochs", &self.epochs, expected);
        if let Some(StartPixels { mean, std }) = &self.start_pixels {
            let expected = "`start` beside it";
            problems.beside(self.start.is_some(), "start_pixels", &"without `start`", expected);
            for (index, mean) in mean.iter().enumerate() {
                let field = format!("start_pixels.mean[{index}]");
                problems.value(mean.is_finite(), field, mean, "a finite number");
            }
            for (index, &std) in std.iter().enumerate() {
                problems.positive(format!("start_pixels.std[{index}]"), std);
            }
        }
        problems.value(self.batch_size > 0, "batch_size", &self.batch_size, "1 or more");
        let mut last = 0;
        for (index, &BatchSize { from_epoch, images }) in self.later_batches.iter().enumerate() {
            let field = format!("later_batches[{index}].images");
            problems.value(images > 0, field, &images, "1 or more");
            let field = format!("later_batches[{index}].from_epoch");
            let expected = "1 or more, below `epochs`, and later than the one before";
            let fine = from_epoch > last && from_epoch < self.epochs;
            problems.beside(fine, field, &from_epoch, expected);
            last = from_epoch;
        }
        let sgd = &self.optimizer;
        problems.positive("optimizer.learning_rate", sgd.learning_rate);
        for (field, share) in
            [("optimizer.momentum", sgd.momentum), ("optimizer.weight_decay", sgd.weight_decay)]
        {
            problems.value((0.0..1.0).contains(&share), field, &share, "0 or more and below 1");
        }
        if let Some(clip) = self.clip {
            problems.positive("clip", clip);
        }
        if let Some(clip) = self.activation_clip {
            problems.positive("activation_clip", clip);
        }
        if let Some(fractions) = &self.clip_fractions {
            let expected = "`clip` beside it";
            problems.beside(self.clip.is_some(), "clip_fractions", &"without `clip`", expected);
            for (index, fraction) in fractions.iter().enumerate() {
                let fine = *fraction > 0.0 && *fraction <= 1.0;
                let field = format!("clip_fractions[{index}]");
                problems.value(fine, field, fraction, "above 0 and at most 1");
            }
        }
        if let Some(quantization) = self.quantization {
            let bits = quantization.bits;
            problems.value(BITS.contains(&bits.into()), "quantization.bits", &bits, "2 to 8");
        }
        problems.learning(self);
        problems.attack(self);
        problems.positive("input.scale", self.input.scale);
        if let Schedule::Step { factor, milestones } = &self.schedule {
            problems.positive("schedule.step.factor", *factor);
            for (index, milestone) in milestones.iter().enumerate() {
                let fine = *milestone > 0.0 && *milestone < 1.0;
                let field = format!("schedule.step.milestones[{index}]");
                problems.value(fine, field, milestone, "between 0 and 1");
            }
        }
        let layers = self.network.len();
        problems.value(layers > 0, "network", &"empty", "one layer or more");
        if let Some(errors) = &self.bit_errors {
            problems.bit_errors(errors, self.quantization.is_some());
        }
        if let Some(rerr) = self.rerr {
            let others = [rerr.activations_rate, rerr.inputs_rate, rerr.sums_rate];
            let names =
                ["rerr.rate", "rerr.activations_rate", "rerr.inputs_rate", "rerr.sums_rate"];
            problems.rates(names, rerr.rate, others, true);
            problems.value(rerr.sums_fold > 0, "rerr.sums_fold", &rerr.sums_fold, "1 or more");
            problems.guard("rerr.sum_guard", rerr.sums_kept);
            let fine = CHIPS.contains(&rerr.chips.into());
            problems.value(fine, "rerr.chips", &rerr.chips, "1 to 10000");
        }
        problems.0
    }
}

fn is_rate(rate: f64) -> bool {
    rate > 0.0 && rate <= 0.5
}

/// Checks of attacks.
mod attack;

struct Problems(Vec<Problem>);

impl Problems {
    /// A value with a range of its own.
    fn value(
        &mut self,
        fine: bool,
        field: impl Into<String>,
        found: &dyn Display,
        expected: &'static str,
    ) {
        if !fine {
            let (field, found) = (field.into(), found.to_string());
            self.0.push(Problem { field, found, expected, dependent: false });
        }
    }

    /// A value whose range follows from other values.
    fn beside(
        &mut self,
        fine: bool,
        field: impl Into<String>,
        found: &dyn Display,
        expected: &'static str,
    ) {
        let before = self.0.len();
        self.value(fine, field, found, expected);
        self.0[before..].iter_mut().for_each(|problem| problem.dependent = true);
    }

    fn positive<T: Copy + Into<f64> + Display>(&mut self, field: impl Into<String>, found: T) {
        let number: f64 = found.into();
        let fine = number.is_finite() && number > 0.0;
        self.value(fine, field, &found, "a positive finite number");
    }

    /// Learned bounds and sharpness-aware steps.
    fn learning(&mut self, recipe: &Recipe) {
        if let Some(LearnedClip { decay }) = recipe.learned_clip {
            let fine = (0.0..1.0).contains(&decay);
            self.value(fine, "learned_clip.decay", &decay, "0 or more and below 1");
            let scheme = recipe.storage().scheme;
            let fine = scheme == WeightScheme::Deployable;
            let expected = "`deployable` beside `learned_clip`";
            self.beside(fine, "quantization.scheme", &"another scheme", expected);
        }
        if let Some(Sharpness { rho }) = recipe.sharpness {
            self.positive("sharpness.rho", rho);
        }
        let learning = recipe.learned_clip.is_some() || recipe.sharpness.is_some();
        let method = recipe.bit_errors.as_ref().map_or(Method::Average, |errors| errors.method);
        let (fine, found) = match method {
            Method::Average => (true, "average"),
            Method::Alternating => (!learning, "alternating"),
            Method::Perturbed => (!learning, "perturbed"),
        };
        let expected = "`average` beside `learned_clip` or `sharpness`";
        self.beside(fine, "bit_errors.method", &found, expected);
    }

    /// Rates of weights, activations, inputs and sums. The rate of the weights may be 0 beside another rate
    /// above 0, unless it selects the cells of a chip.
    fn rates(
        &mut self,
        names: [&'static str; 4],
        weights: f64,
        others: [f64; 3],
        without_chip: bool,
    ) {
        self.data_rates([names[1], names[2], names[3]], others);
        if without_chip && others.iter().any(|&rate| rate != 0.0) {
            self.rate_or_zero(names[0], weights);
        } else {
            self.value(is_rate(weights), names[0], &weights, "above 0 and at most 0.5");
        }
    }

    /// Rates of activations, inputs and sums.
    fn data_rates(&mut self, names: [&'static str; 3], rates: [f64; 3]) {
        for (name, rate) in names.into_iter().zip(rates) {
            self.rate_or_zero(name, rate);
        }
    }

    fn rate_or_zero(&mut self, name: &'static str, rate: f64) {
        self.value(is_rate(rate) || rate == 0.0, name, &rate, "0 to 0.5");
    }

    /// The margin of clamped sums.
    fn guard(&mut self, field: &str, kept: SumKeeping) {
        let margin = kept.guard.unwrap_or(0.0);
        self.value((0.0..=10.0).contains(&margin), field, &margin, "0 to 10");
    }

    /// Measured chips. Keys without an effect beside them are refused.
    fn measured(&mut self, errors: &BitErrors, measured: &Measured) {
        let rate = errors.cell_rate();
        let expected = "no rate beside `measured`: the voltage decides which cells are faulty";
        self.beside(errors.rate.is_none(), "bit_errors.rate", &rate, expected);
        let others = [errors.activations_rate, errors.inputs_rate, errors.sums_rate];
        let fixed = match errors.pattern {
            Pattern::Fixed => true,
            Pattern::Population => false,
            Pattern::Random => {
                let expected = "`fixed` or `population`, as `measured` names chips";
                self.beside(false, "bit_errors.pattern", &"random", expected);
                false
            }
        };
        let files = measured.files.len();
        let (fine, expected) = if fixed {
            (files == 1, "one file, as `pattern` is `fixed`")
        } else {
            (files > 0, "one file or more")
        };
        self.beside(fine, "bit_errors.measured.files", &format!("{files} files"), expected);
        let offset = measured.offset_bits;
        let expected = "no offset, as `pattern` is `population`: every step starts at another cell";
        self.beside(fixed || offset == 0, "bit_errors.measured.offset_bits", &offset, expected);
        self.positive("bit_errors.measured.vdd_mv", measured.vdd_mv);
        let fine = match errors.fault_kind {
            FaultKindChoice::Flip => true,
            FaultKindChoice::StuckAt => false,
        };
        let expected = "no `fault_kind` beside `measured`: cells fail as they were measured";
        self.beside(fine, "bit_errors.fault_kind", &"stuck_at", expected);
        let chip = errors.chip;
        let expected = "no `chip` beside `measured`";
        self.beside(chip == 0, "bit_errors.chip", &chip, expected);
        let data = others.iter().any(|&rate| rate != 0.0);
        let expected = "`false` beside `measured`, unless activations, inputs or sums have a rate";
        self.beside(data || !errors.curricular, "bit_errors.curricular", &true, expected);
        let own = errors.population;
        let rest = ChipPopulation {
            rows: own.rows,
            columns: own.columns,
            streamed: own.streamed,
            ..ChipPopulation::default()
        };
        let expected = "only `rows`, `columns` and `streamed` beside `measured`";
        self.beside(own == rest, "bit_errors.population", &"a population", expected);
    }

    fn bit_errors(&mut self, errors: &BitErrors, quantized: bool) {
        let expected = "`quantization` in the recipe: errors hit codes";
        self.beside(quantized, "bit_errors", &"without `quantization`", expected);
        let others = [errors.activations_rate, errors.inputs_rate, errors.sums_rate];
        let names = [
            "bit_errors.rate",
            "bit_errors.activations_rate",
            "bit_errors.inputs_rate",
            "bit_errors.sums_rate",
        ];
        let fold = errors.sums_fold;
        self.value(fold > 0, "bit_errors.sums_fold", &fold, "1 or more");
        self.guard("bit_errors.sum_guard", errors.sums_kept);
        let without_chip = match errors.pattern {
            Pattern::Random => true,
            Pattern::Fixed | Pattern::Population => false,
        };
        if let Some(Adversary { steps, images, momentum, one_tensor, .. }) = errors.adversary {
            self.value(steps > 0, "bit_errors.adversary.steps", &steps, "1 or more");
            let images = images.unwrap_or(1);
            self.value(images > 0, "bit_errors.adversary.images", &images, "1 or more");
            let fine = (0.0..1.0).contains(&momentum);
            let expected = "0 or more and below 1";
            self.value(fine, "bit_errors.adversary.momentum", &momentum, expected);
            let fine = (0.0..=1.0).contains(&one_tensor);
            self.value(fine, "bit_errors.adversary.one_tensor", &one_tensor, "0 to 1");
        }
        if let Some(Fade { full, rho }) = errors.fade {
            let fine = full > 0.0 && full <= 1.0;
            self.value(fine, "bit_errors.fade.full", &full, "above 0 and at most 1");
            self.positive("bit_errors.fade.rho", rho);
        }
        let fine = !errors.varied || errors.measured.is_none();
        let expected = "`false` beside `measured`: the voltage decides which cells are faulty";
        self.beside(fine, "bit_errors.varied", &true, expected);
        let others_only = others.iter().any(|&rate| rate != 0.0) || errors.adversary.is_some();
        match (&errors.measured, errors.rate) {
            (Some(measured), _) => {
                self.data_rates([names[1], names[2], names[3]], others);
                self.measured(errors, measured);
            }
            (None, Some(rate)) => self.rates(names, rate, others, without_chip),
            (None, None) if without_chip && others_only => {
                self.data_rates([names[1], names[2], names[3]], others);
            }
            (None, None) => {
                let expected = "a rate above 0 and at most 0.5, `measured` chips or an `adversary`";
                self.beside(false, names[0], &"missing", expected);
            }
        }
        if errors.closest_codes {
            let stuck = match (&errors.measured, errors.fault_kind) {
                (Some(measured), _) => measured.persistent_only,
                (None, FaultKindChoice::StuckAt) => true,
                (None, FaultKindChoice::Flip) => false,
            };
            let fine = errors.pattern == Pattern::Fixed && stuck;
            let expected = "`false`, unless `pattern` is `fixed` and cells are always stuck: `fault_kind` is \
                            `stuck_at`, or `measured.persistent_only` is true";
            self.beside(fine, "bit_errors.closest_codes", &true, expected);
        }
        if let Some(clamp) = errors.gradient_clamp {
            self.positive("bit_errors.gradient_clamp", clamp);
        }
        self.positive("bit_errors.start_loss", errors.start_loss);
        if errors.measured.is_some() {
            self.memory(errors.population);
            return;
        }
        let fine = match errors.fault_kind {
            FaultKindChoice::Flip => true,
            FaultKindChoice::StuckAt => !without_chip,
        };
        let expected = "`flip`, as `pattern` is `random`: only cells of chips prefer a value";
        self.beside(fine, "bit_errors.fault_kind", &"stuck_at", expected);
        let population = errors.population;
        let shares = [population.die, population.bank, population.column, population.half_column];
        let sum: f64 = shares.iter().sum();
        let fine = shares.iter().all(|share| *share >= 0.0) && sum <= 0.99;
        let expected = "shares of 0 or more with a sum of at most 0.99";
        self.value(fine, "bit_errors.population", &format!("{shares:?}"), expected);
        let prefers = population.share_stuck_at_0;
        let fine = (0.0..=1.0).contains(&prefers);
        self.value(fine, "bit_errors.population.share_stuck_at_0", &prefers, "0 to 1");
        self.memory(population);
    }

    /// Sizes of the memory of chips.
    fn memory(&mut self, population: ChipPopulation) {
        for (field, size) in [
            ("bit_errors.population.rows", population.rows),
            ("bit_errors.population.columns", population.columns),
        ] {
            self.value(BANK_SIDE.contains(&size.into()), field, &size, "1 to 1048576");
        }
        if let Some(Streaming { banks, array, .. }) = population.streamed {
            let field = "bit_errors.population.streamed.banks";
            self.value(banks > 0, field, &banks, "1 or more");
            for (index, side) in array.into_iter().enumerate() {
                let field = format!("bit_errors.population.streamed.array[{index}]");
                self.value(side > 0, field, &side, "1 or more");
            }
        }
    }
}
