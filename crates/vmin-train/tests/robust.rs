//! Training under bit errors, and going on from a checkpoint.

mod common;

use std::ops::ControlFlow;

use vmin_nn::data::Dataset;
use vmin_sram::{CellErrors, ErrorRates, FaultyCell, Score};
use vmin_train::{
    BatchSize, Checkpoint, CheckpointError, ClipScope, ErrorMap, LayerSpec, LearnedClip, Recipe,
    Sharpness, TrainError, Trained, Trainer, WeightPerturbation, WeightQuantization, train,
};

use common::{assert_refused, data, recipe_text};

const NETWORK: &str = r#"[
  { conv2d = { channels = 6, kernel = 3, stride = 2 } },
  "relu",
  { max_pool = { window = 2 } },
  { fully_connected = { features = 10 } },
]"#;

/// The recipe of most tests, whose last table is `bit_errors`.
fn text() -> String {
    let lines = r#"
clip = 0.4
quantization = { bits = 4 }
[rerr]
rate = 0.02
chips = 2
[bit_errors]
rate = 0.02
start_loss = 5.0"#;
    recipe_text(NETWORK, lines)
}

const METHODS: [&str; 14] = [
    "",
    "activations_rate = 0.02",
    "method = \"alternating\"\nactivations_rate = 0.02\ninputs_rate = 0.03",
    "inputs_rate = 0.03",
    "sums_rate = 0.0005",
    "sums_rate = 0.0005\nsums_fold = 5\nactivations_rate = 0.002\ndata_faults = \"persistent\"",
    "method = \"alternating\"",
    "curricular = true",
    "method = \"perturbed\"",
    "varied = true",
    "fade = { full = 0.3, rho = 2 }\nvaried = true",
    "method = \"perturbed\"\nadversary = { flips = 4, steps = 2, images = 20, one_tensor = 0.5 }",
    "pattern = \"fixed\"\nchip_seed = 7",
    "pattern = \"population\"\nfault_kind = \"stuck_at\"\n\
     population = { column = 0.4, rows = 64, columns = 32 }",
];

const ATTACKS: [(&str, &str); 4] = [
    ("pgd", "{ pgd = { epsilon = 0.05, steps = 2 } }"),
    ("pgd in l1", "{ pgd = { norm = 'l1', epsilon = 2, steps = 2, start = 'zero', share = 0.3 } }"),
    ("ccat", "{ ccat = { epsilon = 0.05, steps = 2, rho = 2 } }"),
    ("patch", "{ patch = { side = 3, centre = 4, steps = 2, stride = 1, moves = 'random' } }"),
];

/// What is trained: the methods, and the first with batch normalization.
fn recipes() -> Vec<(&'static str, Recipe)> {
    let mut recipes: Vec<_> = METHODS.iter().map(|method| (*method, recipe(method))).collect();
    let network = recipe("").network.into_iter();
    let network = network.flat_map(|layer| {
        let norm = matches!(layer, LayerSpec::Conv2d { .. }).then_some(LayerSpec::BatchNorm);
        [Some(layer), norm].into_iter().flatten()
    });
    let normalized = Recipe {
        network: network.collect(),
        mirror: true,
        cutout_pixels: 5,
        autoaugment: Some(vmin_train::AutoAugment::Cifar10),
        shift_pixels: 1,
        norm_frozen_from_epoch: Some(2),
        ..recipe("")
    };
    let later = |from_epoch, images| BatchSize { from_epoch, images };
    let later_batches = vec![later(1, 60), later(2, 125)];
    recipes.push(("larger batches", Recipe { later_batches, ..recipe("") }));
    let learned_clip = Some(LearnedClip { decay: 1e-3 });
    let sharpness = Some(Sharpness { rho: 0.05 });
    recipes.push(("learned bounds", Recipe { learned_clip, ..recipe("") }));
    recipes.push(("learned from the start", Recipe { learned_clip, clip: None, ..recipe("") }));
    recipes.push(("sharpness", Recipe { sharpness, ..recipe("") }));
    recipes
        .push(("everything", Recipe { learned_clip, sharpness, ..recipe("sums_rate = 0.0005") }));
    let weight_perturbation = Some(WeightPerturbation { gamma: 0.02 });
    recipes.push(("moved weights", Recipe { weight_perturbation, ..recipe("") }));
    for (name, attack) in ATTACKS {
        let text = text().replace("[rerr]", &format!("attack = {attack}\n[rerr]"));
        recipes.push((name, Recipe::from_toml(&text).expect(name)));
    }
    recipes.push(("batch normalization", normalized));
    recipes
}

fn recipe(method: &str) -> Recipe {
    Recipe::from_toml(&(text() + method)).expect("a valid recipe")
}

fn bits(parameters: &[Vec<f32>]) -> Vec<Vec<u32>> {
    parameters.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

#[test]
fn every_method_gives_the_same_bits_on_any_number_of_threads() {
    let (data, test) = data(250);
    let mut seen = Vec::new();
    for (method, recipe) in recipes() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            let trained =
                pool.install(|| train(&recipe, &data, &test, |_| ControlFlow::Continue(())));
            let trained = trained.expect("trains");
            assert!(trained.epochs[2].perturbed_loss.is_some(), "{method}: errors were injected");
            assert!(trained.epochs[2].rerr.is_some());
            bits(&trained.network.parameter_values())
        };
        let one = on(1);
        assert!(on(3) == one, "{method}");
        assert!(!seen.contains(&one), "{method} does what another does");
        seen.push(one);
    }
}

#[test]
fn an_adversary_that_flips_nothing_changes_nothing() {
    let (data, test) = data(120);
    let trained = |lines: &str| {
        let lines = format!("quantization = {{ bits = 4 }}\n{lines}");
        let network = NETWORK.replace("\"relu\",", "\"batch_norm\", \"relu\",");
        let recipe = Recipe::from_toml(&recipe_text(&network, &lines)).expect("valid");
        train(&recipe, &data, &test, |_| ControlFlow::Continue(())).expect("trains")
    };
    let plain = trained("");
    let with = |flips: u32| {
        let adversary = format!("adversary = {{ flips = {flips}, steps = 2 }}");
        trained(&format!("[bit_errors]\nstart_loss = 9.0\nmethod = 'perturbed'\n{adversary}"))
    };
    let of = |trained: &Trained| bits(&trained.network.parameter_values());
    assert!(of(&with(0)) == of(&plain));
    assert_eq!(with(0).epochs, plain.epochs);
    assert!(of(&with(1)) != of(&plain));
}

#[test]
fn an_attack_without_a_radius_changes_nothing() {
    let (data, test) = data(120);
    let trained = |lines: &str| {
        let recipe = Recipe::from_toml(&recipe_text(NETWORK, lines)).expect("valid");
        let trained = train(&recipe, &data, &test, |_| ControlFlow::Continue(())).expect("trains");
        (bits(&trained.network.parameter_values()), trained.epochs)
    };
    let plain = trained("");
    for nothing in [
        "attack = { pgd = { epsilon = 0, steps = 2 } }",
        "attack = { ccat = { epsilon = 0.0, steps = 2 } }",
        "attack = { patch = { side = 3, steps = 2, share = 0 } }",
        "weight_perturbation = { gamma = 0 }",
    ] {
        assert!(trained(nothing) == plain, "{nothing}");
    }
    for (name, attack) in ATTACKS {
        assert!(trained(&format!("attack = {attack}")).0 != plain.0, "{name}");
    }
}

#[test]
fn attacks_out_of_range_are_refused() {
    let refused = |lines: &str, field: &str| {
        assert_refused(Recipe::from_toml(&recipe_text(NETWORK, lines)), field);
    };
    for (keys, field) in [
        ("epsilon = -0.1, steps = 1", "attack.pgd.epsilon"),
        ("epsilon = 0.1, steps = 1, step = 0.0", "attack.pgd.step"),
        ("epsilon = 0.1, steps = 1, momentum = 1", "attack.pgd.momentum"),
        ("epsilon = 0.1, steps = 1, backtracking = 0.5", "attack.pgd.backtracking"),
        ("epsilon = 0.1, steps = 1, share = 1.5", "attack.pgd.share"),
        ("epsilon = 0.1", "steps"),
    ] {
        refused(&format!("attack = {{ pgd = {{ {keys} }} }}"), field);
    }
    refused("attack = { ccat = { epsilon = 0.1, steps = 1, rho = 0 } }", "attack.ccat.rho");
    refused("attack = { patch = { side = 3, steps = 1, step = -1 } }", "attack.patch.step");
    refused("weight_perturbation = { gamma = -1 }", "weight_perturbation.gamma");
    refused("weight_perturbation = { gamma = 1 }\nsharpness = { rho = 1 }", "sharpness");
    let (data, test) = data(20);
    let lines = "attack = { patch = { side = 8, centre = 14, steps = 1 } }";
    let recipe = Recipe::from_toml(&recipe_text(NETWORK, lines)).expect("valid");
    let error = Trainer::new(&recipe, &data, &test).err();
    assert!(matches!(error, Some(TrainError::Patch { side: 8, .. })), "{error:?}");
}

#[test]
fn going_on_from_a_file_gives_the_same_bits() {
    let (data, test) = data(250);
    for (method, recipe) in recipes() {
        let straight = train(&recipe, &data, &test, |_| ControlFlow::Continue(())).expect("trains");
        for stop_after in 0..3 {
            let mut first = Trainer::new(&recipe, &data, &test).expect("fits");
            for _ in 0..stop_after {
                first.epoch(|_, _| ControlFlow::Continue(())).expect("trains");
            }
            let bytes = first.checkpoint().to_bytes().expect("a file");
            // An epoch that is broken off leaves no trace in the run that goes on.
            let broken = first.epoch(|_, _| ControlFlow::Break(())).expect("trains");
            assert!(broken.is_none());
            let checkpoint = Checkpoint::from_bytes(&bytes).expect("reads");
            assert_eq!(checkpoint.epochs_done(), stop_after);
            assert_eq!(checkpoint.to_bytes().expect("a file"), bytes);
            let mut second = Trainer::resume(&recipe, &data, &test, checkpoint).expect("fits");
            while second.epoch(|_, _| ControlFlow::Continue(())).expect("trains").is_some() {}
            let resumed = second.finish();
            let [a, b] = [&straight, &resumed].map(|run| bits(&run.network.parameter_values()));
            assert!(a == b, "{method} after {stop_after}");
            assert_eq!(straight.epochs, resumed.epochs);
            assert_eq!(straight.network.statistics, resumed.network.statistics);
        }
    }
}

/// A chip of 4,099 cells, a few of which err, some of them at times.
fn map(name: &str) -> ErrorMap {
    let rates = [ErrorRates::flip(1.0), ErrorRates::stuck_at_1(0.5), ErrorRates::stuck_at_0(1.0)];
    let cells = (0..120_u64).zip(rates.into_iter().cycle());
    let errors = cells.map(|(cell, rates)| {
        let address = 34 * cell + cell % 7;
        let cell = FaultyCell { address, score: Score(0), preferred: rates.preferred() };
        CellErrors { cell, rates }
    });
    ErrorMap { errors: errors.collect(), cells: 4_099, sha256: name.to_owned() }
}

#[test]
fn measured_chips_are_part_of_what_goes_on() {
    let (data, test) = data(250);
    let measured = |pattern: &str, files: &str| {
        let text = text().replace("[bit_errors]\nrate = 0.02", "[bit_errors]");
        let more = format!("pattern = '{pattern}'\nmeasured = {{ files = {files}, vdd_mv = 500 }}");
        Recipe::from_toml(&format!("{text}{more}")).expect("valid")
    };
    let mut seen = Vec::new();
    for (pattern, files, maps) in [
        ("fixed", "['a']", vec![map("a")]),
        ("population", "['a']", vec![map("a")]),
        ("population", "['a', 'b']", vec![map("a"), map("b")]),
    ] {
        let recipe = measured(pattern, files);
        let fresh = || Trainer::new(&recipe, &data, &test).expect("fits");
        let finish = |mut trainer: Trainer<'_>| {
            while trainer.epoch(|_, _| ControlFlow::Continue(())).expect("trains").is_some() {}
            assert!(trainer.epochs()[2].perturbed_loss.is_some(), "errors were injected");
            bits(&trainer.finish().network.parameter_values())
        };
        let straight = finish(fresh().with_chips(&maps).expect("chips"));
        let mut first = fresh().with_chips(&maps).expect("chips");
        first.epoch(|_, _| ControlFlow::Continue(())).expect("trains");
        let bytes = first.checkpoint().to_bytes().expect("a file");
        let resumed = || {
            let checkpoint = Checkpoint::from_bytes(&bytes).expect("reads");
            Trainer::resume(&recipe, &data, &test, checkpoint).expect("fits")
        };
        assert!(finish(resumed().with_chips(&maps).expect("chips")) == straight, "{pattern}");
        assert!(!seen.contains(&straight), "{pattern} does what another does");
        seen.push(straight);

        let others: Vec<ErrorMap> = maps.iter().map(|_| map("other")).collect();
        let refused = resumed().with_chips(&others).map(drop).expect_err("other chips");
        assert!(matches!(refused, TrainError::Checkpoint(CheckpointError::OtherChips)));
        let too_many = [&maps[..], &others].concat();
        let refused = fresh().with_chips(&too_many).map(drop).expect_err("too many");
        assert!(refused.to_string().contains("maps for"), "{refused}");
        let refused = fresh().epoch(|_, _| ControlFlow::Continue(())).map(drop).expect_err("none");
        assert!(matches!(refused, TrainError::NoChips));
    }
}

#[test]
fn checkpoints_of_something_else_are_refused() {
    let (data, test) = data(60);
    let recipe = recipe("");
    let trainer = Trainer::new(&recipe, &data, &test).expect("fits");
    let checkpoint = trainer.checkpoint();
    let refused = |recipe: &Recipe, data: &Dataset, test: &Dataset| match Trainer::resume(
        recipe,
        data,
        test,
        checkpoint.clone(),
    )
    .err()
    {
        Some(TrainError::Checkpoint(error)) => error,
        other => panic!("{other:?}"),
    };
    let other = Recipe { epochs: 4, ..recipe.clone() };
    assert!(matches!(refused(&other, &data, &test), CheckpointError::OtherRecipe));
    let few = data.subset(0..40).expect("in range");
    let error = refused(&recipe, &few, &test);
    assert!(matches!(error, CheckpointError::OtherData { split: "training" }), "{error:?}");
    let error = refused(&recipe, &data, &few);
    assert!(matches!(error, CheckpointError::OtherData { split: "test" }), "{error:?}");
    let bytes = checkpoint.to_bytes().expect("a file");
    for length in [0, 1, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(Checkpoint::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn clipping_bounds_each_layer_by_its_fraction() {
    let (data, test) = data(120);
    let limited = Recipe { clip_fractions: Some(vec![0.25, 1.0]), clip: Some(0.1), ..recipe("") };
    let trained = train(&limited, &data, &test, |_| ControlFlow::Continue(())).expect("trains");
    for (parameter, limit) in trained.network.parameters.iter().zip([0.025, 0.025, 0.1, 0.1]) {
        let most = parameter.values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(most <= limit, "{} {most}", parameter.name);
        assert!(most > 0.5 * limit || parameter.name.contains("bias"), "the bound is reached");
    }
    let scope = ClipScope::Weights;
    let weights_only = Recipe { clip: Some(0.001), clip_scope: scope, ..limited.clone() };
    let trained =
        train(&weights_only, &data, &test, |_| ControlFlow::Continue(())).expect("trains");
    let most = trained.network.parameters.iter().map(|parameter| {
        parameter.values.iter().fold(0.0_f32, |most, value| most.max(value.abs()))
    });
    let most: Vec<f32> = most.collect();
    assert!(most[0] <= 0.000_25 && most[2] <= 0.001, "weights: {most:?}");
    assert!(most[3] > 0.001, "the biases of the last layer: {most:?}");
    let short = Recipe { clip_fractions: Some(vec![1.0]), ..limited };
    let error = Trainer::new(&short, &data, &test).err().expect("one for two");
    assert!(matches!(error, TrainError::Fractions { found: 1, expected: 2 }), "{error:?}");
}

#[test]
fn values_out_of_range_are_refused() {
    let cases = [
        ("rate = 0.02\nstart_loss", "rate = 0.6\nstart_loss", "bit_errors.rate"),
        ("start_loss = 5.0", "start_loss = nan", "bit_errors.start_loss"),
        ("start_loss = 5.0", "gradient_clamp = 0.0", "bit_errors.gradient_clamp"),
        ("start_loss = 5.0", "fault_kind = \"stuck_at\"", "bit_errors.fault_kind"),
        ("start_loss = 5.0", "population = { die = 1.0 }", "bit_errors.population"),
        ("start_loss = 5.0", "population = { rows = 0 }", "bit_errors.population.rows"),
        ("chips = 2", "chips = 0", "rerr.chips"),
        ("chips = 2", "chips = 2\nsums_fold = 0", "rerr.sums_fold"),
        ("start_loss = 5.0", "sums_rate = 0.6", "bit_errors.sums_rate"),
        ("start_loss = 5.0", "data_faults = \"lasting\"", "bit_errors.data_faults"),
        ("clip = 0.4", "learned_clip = { decay = 1.0 }", "learned_clip.decay"),
        ("clip = 0.4", "sharpness = { rho = 0 }", "sharpness.rho"),
        ("clip = 0.4", "activation_clip = 0", "activation_clip"),
        ("start_loss = 5.0", "sum_guard = -0.1", "bit_errors.sum_guard"),
        ("chips = 2", "chips = 2\nsum_guard = 11", "rerr.sum_guard"),
        ("start_loss = 5.0", "closest_codes = true", "bit_errors.closest_codes"),
        ("clip = 0.4", "clip_fractions = [0.5, 0.5]", "clip_fractions"),
        ("clip = 0.4", "clip = 0.4\nclip_fractions = [0.5, 2.0]", "clip_fractions[1]"),
        ("quantization = { bits = 4 }", "", "bit_errors"),
    ];
    for (from, to, wanted) in cases {
        assert_refused(Recipe::from_toml(&text().replace(from, to)), wanted);
    }
}

#[test]
fn batches_grow_and_the_schedule_goes_by_epochs() {
    let (data, test) = data(250);
    let text = text().replace("\"cosine\"", "{ step = { factor = 0.1, milestones = [0.5] } }");
    let recipe = Recipe::from_toml(&text).expect("valid");
    let later = |from_epoch, images| BatchSize { from_epoch, images };
    let recipe = Recipe { epochs: 4, later_batches: vec![later(1, 100), later(3, 250)], ..recipe };
    let mut trainer = Trainer::new(&recipe, &data, &test).expect("fits");
    // Of 40, 100, 100 and 250 of 250 images.
    assert_eq!(trainer.steps(), (0, 7 + 3 + 3 + 1));
    let mut steps = Vec::new();
    while let Some(metrics) = trainer.epoch(|_, _| ControlFlow::Continue(())).expect("trains") {
        let rate = metrics.learning_rate;
        steps.push((trainer.steps().0, rate));
    }
    assert_eq!(steps, [(7, 0.02), (10, 0.02), (13, 0.02 * 0.1), (14, 0.02 * 0.1)]);
    for later_batches in
        [vec![later(0, 10)], vec![later(2, 10), later(2, 20)], vec![later(1, 0)], vec![later(4, 9)]]
    {
        let refused = Recipe { later_batches, ..recipe.clone() }.validate();
        assert!(matches!(refused, Err(TrainError::Value { .. })));
    }
}

#[test]
fn errors_begin_with_their_epoch() {
    let (data, test) = data(400);
    let trained = train(&recipe("from_epoch = 2"), &data, &test, |_| ControlFlow::Continue(()));
    let epochs = trained.expect("trains").epochs;
    let perturbed: Vec<bool> = epochs.iter().map(|epoch| epoch.perturbed_loss.is_some()).collect();
    assert_eq!(perturbed, [false, false, true]);
}

#[test]
fn frozen_normalizations_keep_their_running_averages() {
    let (data, test) = data(250);
    let recipes = recipes();
    let (_, recipe) = recipes.last().expect("that with normalizations");
    let mut trainer = Trainer::new(recipe, &data, &test).expect("fits");
    let after = |trainer: &mut Trainer<'_>| {
        trainer.epoch(|_, _| ControlFlow::Continue(())).expect("trains");
        trainer.network().statistics.clone()
    };
    let [first, second, third] = [(); 3].map(|()| after(&mut trainer));
    assert_ne!(first, second);
    assert_eq!(second, third);
}

#[test]
fn errors_in_what_layers_read_are_measured() {
    let (data, test) = data(250);
    let measured = |rates: &str| {
        let text = text().replace("rate = 0.02\nchips = 2", &format!("{rates}\nchips = 2"));
        let recipe = Recipe::from_toml(&text).expect("a valid recipe");
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            let trained =
                pool.install(|| train(&recipe, &data, &test, |_| ControlFlow::Continue(())));
            trained.expect("trains").epochs[2].clone()
        };
        let one = on(1);
        assert_eq!(one, on(3), "{rates}");
        (one.err, one.rerr.expect("measured"))
    };
    let (err, tiny) = measured("rate = 0\nactivations_rate = 1e-9");
    assert!((tiny - err).abs() < 0.02, "codes of 8 bits lose next to nothing: {err} {tiny}");
    let (_, activations) = measured("rate = 0\nactivations_rate = 0.5");
    let (_, inputs) = measured("rate = 0\ninputs_rate = 0.5");
    assert!(activations > 0.8 && inputs > 0.8, "nothing is left: {activations} {inputs}");
    assert_ne!(activations, inputs);
}

/// The code nearest to `wanted` whose bits in `held` are those of `values`.
fn closest(wanted: u8, held: u8, values: u8) -> u8 {
    let fits = (0..=u8::MAX).filter(|code| code & held == values & held);
    fits.min_by_key(|code| code.abs_diff(wanted)).expect("some code fits")
}

/// A network whose codes a chip can hold starts without errors there, although a hundredth of its cells is stuck, and
/// trains on under the chip's map.
#[test]
fn a_start_from_the_closest_codes_of_a_chip_meets_no_errors() {
    let (data, test) = data(250);
    let start = Recipe {
        bit_errors: None,
        quantization: Some(WeightQuantization::deployable(8)),
        ..recipe("")
    };
    let trained = train(&start, &data, &test, |_| ControlFlow::Continue(())).expect("trains");
    let graph = trained.lower(&data).expect("deployable");
    let codes: usize = graph.weights.iter().map(|weights| weights.codes.len()).sum();
    let stuck = (0..8 * codes as u64).filter(|cell| (cell * 7_919) % 100 == 3);
    let rates = |cell: u64| {
        if cell.is_multiple_of(3) {
            ErrorRates::stuck_at_1(1.0)
        } else {
            ErrorRates::stuck_at_0(1.0)
        }
    };
    let errors: Vec<CellErrors> = stuck
        .map(|address| {
            let rates = rates(address);
            let cell = FaultyCell { address, score: Score(0), preferred: rates.preferred() };
            CellErrors { cell, rates }
        })
        .collect();
    let mut written = graph.clone();
    let mut first = 0;
    for weights in &mut written.weights {
        for (index, code) in weights.codes.iter_mut().enumerate() {
            let (mut held, mut values) = (0, 0);
            for error in &errors {
                let bit = error.cell.address.wrapping_sub(first + 8 * index as u64);
                if bit < 8 {
                    held |= 1 << bit;
                    values |= u8::from(error.cell.preferred) << bit;
                }
            }
            *code = closest(*code, held, values);
        }
        first += 8 * weights.codes.len() as u64;
    }
    assert_ne!(written.weights, graph.weights, "the chip holds other codes");
    let chip = ErrorMap { errors, cells: 8 * codes as u64, sha256: "chip".to_owned() };
    let text = text()
        .replace("[bit_errors]\nrate = 0.02", "[bit_errors]\npattern = 'fixed'")
        .replace("bits = 4", "bits = 8")
        .replace("batch_size = 40", "batch_size = 250")
        .replace("learning_rate = 0.02", "learning_rate = 1e-12");
    let text = format!("{text}measured = {{ files = ['chip'], vdd_mv = 500 }}");
    let recipe = Recipe { epochs: 2, ..Recipe::from_toml(&text).expect("valid") };
    let losses = |graph| {
        let trainer = Trainer::start_from(&recipe, &data, &test, graph).expect("fits");
        let mut trainer = trainer.with_chips(std::slice::from_ref(&chip)).expect("a chip");
        // The first step has no errors, as its loss decides whether there will be some. It moves no code.
        let mut first = trainer.epoch(|_, _| ControlFlow::Continue(())).expect("trains");
        if first.is_some_and(|metrics| metrics.perturbed_loss.is_none()) {
            first = trainer.epoch(|_, _| ControlFlow::Continue(())).expect("trains");
        }
        let metrics = first.expect("an epoch");
        (metrics.loss, metrics.perturbed_loss.expect("under errors"))
    };
    let (loss, perturbed) = losses(&written);
    assert_eq!(loss, perturbed);
    let (loss, perturbed) = losses(&graph);
    assert_ne!(loss, perturbed);
}
