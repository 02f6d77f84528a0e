//! Parsing of recipe files.
//!
//! Every problem of a file is reported at once. A missing or wrong value is replaced by a valid one, so that the
//! remaining values can be checked. Rules for values that depend on each other are checked only if all keys, words and
//! types are right.

use std::ops::RangeInclusive;

use vmin_accel::Dataflow;
use vmin_diagnostic::{
    Diagnostic, Diagnostics, Document, FileKind, Located, Source, TableReader, Variant,
};

mod attack;

use super::values::{BANK_SIDE, BITS, CHIPS, Problem};
use super::{
    BatchSize, ClipScope, InputScaling, LayerSpec, LearnedClip, Recipe, Sharpness, StartPixels,
    TestErrors, WeightQuantization,
};
use crate::bit_errors::{
    Adversary, BitErrors, ChipPopulation, DataFaults, Fade, FaultKindChoice, Measured, Method,
    Pattern, Streaming, SumKeeping, USUAL_FOLD,
};
use crate::network::{Norm, Shortcut};
use crate::real::Real;
use crate::{AutoAugment, Schedule, SchemeFormula, Sgd, WeightScheme};

/// Integers that fit u32.
const INTEGERS: RangeInclusive<i64> = 0..=u32::MAX as i64;
/// Sizes.
const SIZES: RangeInclusive<i64> = 1..=u32::MAX as i64;
/// Integers that fit u64; TOML has no larger ones.
const LONG_INTEGERS: RangeInclusive<i64> = 0..=i64::MAX;
const NUMBERS: RangeInclusive<f64> = f64::MIN..=f64::MAX;

/// Every layer with its word and its keys.
const LAYERS: [(&str, Variant<LayerSpec>); 13] = [
    ("conv2d", Variant::Keys(conv2d)),
    ("batch_norm", Variant::Word(LayerSpec::BatchNorm)),
    ("group_norm", Variant::Keys(group_norm)),
    ("lenet", Variant::Keys(lenet)),
    ("simplenet", Variant::Keys(simplenet)),
    ("resnet", Variant::Keys(resnet)),
    ("subsample", Variant::Keys(subsample)),
    ("relu", Variant::Word(LayerSpec::Relu)),
    ("max_pool", Variant::Keys(max_pool)),
    ("average_pool", Variant::Keys(average_pool)),
    ("global_average_pool", Variant::Word(LayerSpec::GlobalAveragePool)),
    ("residual", Variant::Keys(residual)),
    ("fully_connected", Variant::Keys(fully_connected)),
];

const SCHEDULES: [(&str, Variant<Schedule>); 3] = [
    ("constant", Variant::Word(Schedule::Constant)),
    ("cosine", Variant::Word(Schedule::Cosine)),
    ("step", Variant::Keys(step)),
];

impl Recipe {
    /// Parses and checks a recipe file.
    ///
    /// # Errors
    ///
    /// All syntax errors; or else all wrong, missing and unknown keys, words and types, and all values out of
    /// range.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        let document = Document::parse_kind(source, FileKind::Recipe)?;
        let recipe = closed(document.root(), recipe);
        let sound = document.is_well_formed();
        for problem in recipe.problems().iter().filter(|problem| sound || !problem.dependent) {
            document.report(out_of_range(&document, problem));
        }
        document.finish()?;
        Ok(recipe)
    }
}

fn out_of_range(document: &Document<'_>, problem: &Problem) -> Diagnostic {
    let Problem { field, found, expected, .. } = problem;
    let diagnostic = Diagnostic::new("out-of-range", format!("`{field}` is {found}"));
    placed(document, field, diagnostic).allowed(format!("expected {expected}"))
}

/// Puts `diagnostic` at the value of a key (`a`, `a.b` or `a[1].b`) of a recipe file.
#[must_use]
pub fn at_key(source: &Source, key: &str, diagnostic: Diagnostic) -> Diagnostic {
    match Document::parse(source) {
        Ok(document) => placed(&document, key, diagnostic),
        Err(_) => diagnostic.within(source),
    }
}

fn placed(document: &Document<'_>, key: &str, diagnostic: Diagnostic) -> Diagnostic {
    match document.place(key) {
        Some(span) => diagnostic.at(document.source(), span),
        None => diagnostic.within(document.source()),
    }
}

fn recipe(root: &TableReader<'_>) -> Recipe {
    Recipe {
        name: value(root.string("name")).unwrap_or_else(|| "x".to_owned()),
        data: value(root.optional_string("data")),
        start: value(root.optional_string("start")),
        start_pixels: table(root, "start_pixels", start_pixels),
        seed: integer(root.integer("seed", LONG_INTEGERS)).unwrap_or(0),
        epochs: integer(root.integer("epochs", INTEGERS)).unwrap_or(u32::MAX),
        batch_size: integer(root.integer("batch_size", SIZES)).unwrap_or(1),
        later_batches: root
            .tables("later_batches")
            .into_iter()
            .map(|batch| closed(batch, later_batch))
            .collect(),
        optimizer: table(root, "optimizer", optimizer).unwrap_or_default(),
        schedule: root.variant("schedule", &SCHEDULES).unwrap_or(Schedule::Constant),
        clip: narrow(root.optional_number("clip", NUMBERS)),
        clip_fractions: root
            .optional_numbers("clip_fractions", NUMBERS)
            .map(|fractions| fractions.value.iter().map(|number| f32::of(number.value)).collect()),
        clip_scope: value(root.optional_choice("clip_scope", &ClipScope::WORDS))
            .unwrap_or_default(),
        learned_clip: table(root, "learned_clip", learned_clip),
        activation_clip: narrow(root.optional_number("activation_clip", NUMBERS)),
        sharpness: table(root, "sharpness", sharpness),
        attack: root.optional_variant("attack", &attack::ATTACKS),
        weight_perturbation: table(root, "weight_perturbation", attack::weight_perturbation),
        quantization: table(root, "quantization", quantization),
        bit_errors: table(root, "bit_errors", bit_errors),
        norm_frozen_from_epoch: integer(root.optional_integer("norm_frozen_from_epoch", INTEGERS)),
        rerr: table(root, "rerr", rerr),
        shift_pixels: integer(root.optional_integer("shift_pixels", INTEGERS)).unwrap_or(0),
        mirror: value(root.optional_boolean("mirror")).unwrap_or(false),
        autoaugment: value(root.optional_choice("autoaugment", &AutoAugment::WORDS)),
        cutout_pixels: integer(root.optional_integer("cutout_pixels", INTEGERS)).unwrap_or(0),
        input: closed(root.table("input"), input),
        network: root.variants("network", &LAYERS).unwrap_or_else(|| vec![LayerSpec::Relu]),
    }
}

fn start_pixels(keys: &TableReader<'_>) -> StartPixels {
    let numbers = |key| {
        let list = keys.numbers(key, NUMBERS).map(|list| list.value).unwrap_or_default();
        list.into_iter().map(|number| number.value).collect()
    };
    StartPixels { mean: numbers("mean"), std: numbers("std") }
}

fn later_batch(keys: &TableReader<'_>) -> BatchSize {
    BatchSize {
        from_epoch: integer(keys.integer("from_epoch", INTEGERS)).unwrap_or(1),
        images: integer(keys.integer("images", SIZES)).unwrap_or(1),
    }
}

fn optimizer(keys: &TableReader<'_>) -> Sgd {
    let usual = Sgd::default();
    let number = |key, usual| narrow(keys.number(key, NUMBERS)).unwrap_or(usual);
    Sgd {
        learning_rate: number("learning_rate", usual.learning_rate),
        momentum: number("momentum", usual.momentum),
        nesterov: value(keys.optional_boolean("nesterov")).unwrap_or(usual.nesterov),
        weight_decay: number("weight_decay", usual.weight_decay),
    }
}

fn step(keys: &TableReader<'_>) -> Option<Schedule> {
    let factor = narrow(keys.number("factor", NUMBERS));
    let milestones = keys.numbers("milestones", NUMBERS);
    let milestones = milestones?.value.into_iter().map(|milestone| milestone.value).collect();
    Some(Schedule::Step { factor: factor?, milestones })
}

fn learned_clip(keys: &TableReader<'_>) -> LearnedClip {
    LearnedClip { decay: narrow(keys.number("decay", NUMBERS)).unwrap_or(0.0) }
}

fn sharpness(keys: &TableReader<'_>) -> Sharpness {
    Sharpness { rho: narrow(keys.number("rho", NUMBERS)).unwrap_or(1.0) }
}

fn quantization(keys: &TableReader<'_>) -> WeightQuantization {
    WeightQuantization {
        bits: integer(keys.integer("bits", BITS)).unwrap_or(8),
        from_epoch: integer(keys.optional_integer("from_epoch", INTEGERS)).unwrap_or(0),
        scheme: value(keys.optional_choice("scheme", &WeightScheme::WORDS)).unwrap_or_default(),
        formula: value(keys.optional_choice("formula", &SchemeFormula::WORDS)).unwrap_or_default(),
    }
}

fn bit_errors(keys: &TableReader<'_>) -> BitErrors {
    let number = |key| value(keys.optional_number(key, NUMBERS));
    BitErrors {
        rate: number("rate"),
        activations_rate: number("activations_rate").unwrap_or(0.0),
        inputs_rate: number("inputs_rate").unwrap_or(0.0),
        sums_rate: number("sums_rate").unwrap_or(0.0),
        sums_fold: sums_fold(keys),
        sums_kept: sums_kept(keys),
        data_faults: data_faults(keys),
        pattern: value(keys.optional_choice("pattern", &Pattern::WORDS)).unwrap_or_default(),
        method: value(keys.optional_choice("method", &Method::WORDS)).unwrap_or_default(),
        curricular: value(keys.optional_boolean("curricular")).unwrap_or(false),
        from_epoch: integer(keys.optional_integer("from_epoch", INTEGERS)).unwrap_or(0),
        gradient_clamp: narrow(keys.optional_number("gradient_clamp", NUMBERS)),
        start_loss: number("start_loss").unwrap_or(BitErrors::default().start_loss),
        fault_kind: value(keys.optional_choice("fault_kind", &FaultKindChoice::WORDS))
            .unwrap_or_default(),
        chip_seed: integer(keys.optional_integer("chip_seed", LONG_INTEGERS)),
        chip: integer(keys.optional_integer("chip", LONG_INTEGERS)).unwrap_or(0),
        closest_codes: value(keys.optional_boolean("closest_codes")).unwrap_or(false),
        population: table(keys, "population", population).unwrap_or_default(),
        measured: table(keys, "measured", measured),
        varied: value(keys.optional_boolean("varied")).unwrap_or(false),
        fade: table(keys, "fade", fade),
        adversary: table(keys, "adversary", adversary),
    }
}

fn fade(keys: &TableReader<'_>) -> Fade {
    Fade {
        full: value(keys.number("full", NUMBERS)).unwrap_or(1.0),
        rho: value(keys.optional_number("rho", NUMBERS)).unwrap_or(10.0),
    }
}

fn adversary(keys: &TableReader<'_>) -> Adversary {
    Adversary {
        flips: integer(keys.integer("flips", INTEGERS)).unwrap_or(1),
        steps: integer(keys.integer("steps", SIZES)).unwrap_or(1),
        images: integer(keys.optional_integer("images", SIZES)),
        momentum: value(keys.optional_number("momentum", NUMBERS)).unwrap_or(0.0),
        one_tensor: value(keys.optional_number("one_tensor", NUMBERS)).unwrap_or(0.0),
    }
}

fn sums_fold(keys: &TableReader<'_>) -> usize {
    integer(keys.optional_integer("sums_fold", SIZES)).unwrap_or(USUAL_FOLD)
}

fn sums_kept(keys: &TableReader<'_>) -> SumKeeping {
    SumKeeping {
        narrow: value(keys.optional_boolean("narrow_sums")).unwrap_or(false),
        guard: value(keys.optional_number("sum_guard", NUMBERS)),
    }
}

fn data_faults(keys: &TableReader<'_>) -> DataFaults {
    value(keys.optional_choice("data_faults", &DataFaults::WORDS)).unwrap_or_default()
}

fn population(keys: &TableReader<'_>) -> ChipPopulation {
    let usual = ChipPopulation::default();
    let number = |key, usual| value(keys.optional_number(key, NUMBERS)).unwrap_or(usual);
    ChipPopulation {
        die: number("die", usual.die),
        bank: number("bank", usual.bank),
        column: number("column", usual.column),
        half_column: number("half_column", usual.half_column),
        share_stuck_at_0: number("share_stuck_at_0", usual.share_stuck_at_0),
        rows: integer(keys.optional_integer("rows", BANK_SIDE)).unwrap_or(usual.rows),
        columns: integer(keys.optional_integer("columns", BANK_SIDE)).unwrap_or(usual.columns),
        streamed: table(keys, "streamed", streamed),
    }
}

fn streamed(keys: &TableReader<'_>) -> Streaming {
    let sides = keys.integers("array", SIZES).and_then(|sides| {
        let numbers: Vec<u64> = sides.value.iter().map(|side| side.value.unsigned_abs()).collect();
        let pair = <[u64; 2]>::try_from(numbers);
        if let Err(numbers) = &pair {
            let message = format!("the array has {} sizes", numbers.len());
            let diagnostic = Diagnostic::new("wrong-value", message);
            keys.report_at(sides.span, diagnostic.allowed("expected its rows and its columns"));
        }
        pair.ok()
    });
    Streaming {
        banks: integer(keys.integer("banks", SIZES)).unwrap_or(1),
        array: sides.unwrap_or([1, 1]),
        dataflow: value(keys.optional_choice("dataflow", Dataflow::ALL))
            .unwrap_or(Dataflow::ALL[0].1),
    }
}

fn measured(keys: &TableReader<'_>) -> Measured {
    let files = keys.strings("files").map_or_else(
        || vec!["x".to_owned()],
        |files| files.value.into_iter().map(|file| file.value).collect(),
    );
    Measured {
        files,
        vdd_mv: value(keys.number("vdd_mv", NUMBERS)).unwrap_or(1.0),
        offset_bits: integer(keys.optional_integer("offset_bits", LONG_INTEGERS)).unwrap_or(0),
        persistent_only: value(keys.optional_boolean("persistent_only")).unwrap_or(false),
    }
}

fn rerr(keys: &TableReader<'_>) -> TestErrors {
    let other = |key| value(keys.optional_number(key, NUMBERS)).unwrap_or(0.0);
    TestErrors {
        rate: value(keys.number("rate", NUMBERS)).unwrap_or(0.01),
        activations_rate: other("activations_rate"),
        inputs_rate: other("inputs_rate"),
        sums_rate: other("sums_rate"),
        sums_fold: sums_fold(keys),
        sums_kept: sums_kept(keys),
        data_faults: data_faults(keys),
        chips: integer(keys.integer("chips", CHIPS)).unwrap_or(1),
    }
}

fn input(keys: &TableReader<'_>) -> InputScaling {
    InputScaling {
        zero_pixel: integer(keys.integer("zero_pixel", 0..=255)).unwrap_or(0),
        scale: narrow(keys.number("scale", NUMBERS)).unwrap_or(1.0),
    }
}

fn conv2d(keys: &TableReader<'_>) -> Option<LayerSpec> {
    let (channels, kernel) = (size(keys, "channels"), size(keys, "kernel"));
    let stride = integer(keys.optional_integer("stride", SIZES)).unwrap_or(1);
    let bias = value(keys.optional_boolean("bias")).unwrap_or(true);
    Some(LayerSpec::Conv2d { channels: channels?, kernel: kernel?, stride, bias })
}

fn group_norm(keys: &TableReader<'_>) -> Option<LayerSpec> {
    Some(LayerSpec::GroupNorm { groups: integer(keys.optional_integer("groups", SIZES)) })
}

fn lenet(keys: &TableReader<'_>) -> Option<LayerSpec> {
    let (width, classes, norm) = (size(keys, "width"), size(keys, "classes"), norm(keys));
    Some(LayerSpec::Lenet { width: width?, classes: classes?, norm })
}

fn simplenet(keys: &TableReader<'_>) -> Option<LayerSpec> {
    let (width, classes, norm) = (size(keys, "width"), size(keys, "classes"), norm(keys));
    Some(LayerSpec::Simplenet { width: width?, classes: classes?, norm })
}

fn resnet(keys: &TableReader<'_>) -> Option<LayerSpec> {
    let blocks = keys.integers("blocks", SIZES);
    let (width, classes, norm) = (size(keys, "width"), size(keys, "classes"), norm(keys));
    let shortcut = value(keys.optional_choice("shortcut", &Shortcut::WORDS)).unwrap_or_default();
    let blocks = blocks?.value.into_iter().map(|count| integer(Some(count)));
    Some(LayerSpec::Resnet {
        blocks: blocks.collect::<Option<_>>()?,
        width: width?,
        classes: classes?,
        norm,
        shortcut,
    })
}

fn norm(keys: &TableReader<'_>) -> Norm {
    value(keys.optional_choice("norm", &Norm::WORDS)).unwrap_or_default()
}

fn subsample(keys: &TableReader<'_>) -> Option<LayerSpec> {
    let (channels, stride) = (size(keys, "channels"), size(keys, "stride"));
    Some(LayerSpec::Subsample { channels: channels?, stride: stride? })
}

fn max_pool(keys: &TableReader<'_>) -> Option<LayerSpec> {
    Some(LayerSpec::MaxPool { window: size(keys, "window")? })
}

fn average_pool(keys: &TableReader<'_>) -> Option<LayerSpec> {
    Some(LayerSpec::AveragePool { window: size(keys, "window")? })
}

fn residual(keys: &TableReader<'_>) -> Option<LayerSpec> {
    let body = keys.variants("body", &LAYERS);
    let shortcut = keys.optional_variants("shortcut", &LAYERS).unwrap_or_default();
    Some(LayerSpec::Residual { body: body?, shortcut })
}

fn fully_connected(keys: &TableReader<'_>) -> Option<LayerSpec> {
    Some(LayerSpec::FullyConnected { features: size(keys, "features")? })
}

fn size(keys: &TableReader<'_>, key: &str) -> Option<usize> {
    integer(keys.integer(key, SIZES))
}

fn integer<T: TryFrom<i64>>(value: Option<Located<i64>>) -> Option<T> {
    T::try_from(value?.value).ok()
}

fn value<T>(value: Option<Located<T>>) -> Option<T> {
    value.map(|value| value.value)
}

fn narrow(number: Option<Located<f64>>) -> Option<f32> {
    number.map(|number| f32::of(number.value))
}

/// Reads an optional table with these keys.
fn table<T>(
    parent: &TableReader<'_>,
    key: &str,
    read: impl FnOnce(&TableReader<'_>) -> T,
) -> Option<T> {
    let table = parent.optional_table(key)?;
    Some(closed(table, read))
}

/// Reads a table that has no other keys.
fn closed<T>(table: TableReader<'_>, read: impl FnOnce(&TableReader<'_>) -> T) -> T {
    let value = read(&table);
    table.finish();
    value
}

#[cfg(test)]
mod tests {
    use toml::Value;

    use super::LAYERS;
    use crate::Recipe;

    /// A recipe with every key.
    const WHOLE: &str = include_str!("whole.toml");

    /// `value` without one of its keys, at any depth: each key with the remaining recipe.
    fn without_a_key(value: &Value) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    let mut rest = table.clone();
                    rest.remove(key);
                    all.push((key.clone(), Value::Table(rest)));
                    for (missing, value) in without_a_key(value) {
                        let mut table = table.clone();
                        table.insert(key.clone(), value);
                        all.push((missing, Value::Table(table)));
                    }
                }
            }
            Value::Array(elements) => {
                for (place, element) in elements.iter().enumerate() {
                    for (missing, element) in without_a_key(element) {
                        let mut elements = elements.clone();
                        elements[place] = element;
                        all.push((missing, Value::Array(elements)));
                    }
                }
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => {}
        }
        all
    }

    #[test]
    fn checkpoints_hold_the_keys_and_words_of_the_file() {
        let recipe = Recipe::from_toml(WHOLE).expect("a recipe");
        let whole: Value = toml::from_str(WHOLE).expect("TOML");
        let whole = serde_json::to_value(whole).expect("JSON");
        assert_eq!(serde_json::to_value(&recipe).expect("JSON"), whole);
        assert_eq!(recipe.network.len(), LAYERS.len(), "every layer");
    }

    /// Keys that exclude others of the whole recipe.
    #[test]
    fn checkpoints_hold_other_attacks_too() {
        let whole: Value = toml::from_str(WHOLE).expect("TOML");
        let mut whole = whole.as_table().expect("a table").clone();
        whole.remove("sharpness");
        for attack in [
            "pgd = { norm = 'l0', epsilon = 3.0, steps = 3, step = 0.25, momentum = 0.5, \
             backtracking = 2.0, start = 'random', share = 0.25 }",
            "patch = { side = 3, centre = 4, steps = 5, step = 0.25, moves = 'none', stride = 1, \
             share = 0.25 }",
        ] {
            let text = format!("weight_perturbation = {{ gamma = 0.25 }}\nattack = {{ {attack} }}");
            let keys: Value = toml::from_str(&text).expect("TOML");
            whole.extend(keys.as_table().expect("a table").clone());
            let text = toml::to_string(&whole).expect("TOML");
            let recipe = Recipe::from_toml(&text).expect("a recipe");
            let whole = serde_json::to_value(&whole).expect("JSON");
            assert_eq!(serde_json::to_value(&recipe).expect("JSON"), whole);
        }
    }

    #[test]
    fn a_missing_key_is_the_only_problem() {
        let whole: Value = toml::from_str(WHOLE).expect("TOML");
        let mut required = 0;
        for (missing, rest) in without_a_key(&whole) {
            let text = toml::to_string(&rest).expect("TOML");
            let Err(problems) = Recipe::from_toml(&text) else { continue };
            assert_eq!(problems.len(), 1, "{text}{problems}");
            let text = problems.to_string();
            // A layer or schedule without its word is a table of the wrong type; some keys need another one.
            let told = text.contains(&format!("missing key `{missing}`"))
                || text.contains(&format!("missing table `[{missing}]`"))
                || text.contains("is of the wrong type")
                || text.contains(&format!("{missing}`"));
            assert!(told, "{missing}: {text}");
            required += 1;
        }
        assert!(required > 30, "{required}");
    }
}
