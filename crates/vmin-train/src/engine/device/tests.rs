//! The device's passes with the kernels compiled as C, against the processor's. Skipped where there is no C
//! compiler; where Rust links with one, there is.

use vmin_nn::data::{Dataset, Split, shapes};

use super::check::{check, layers};
use super::host::{Host, Whole};
use super::products::Product;
use super::{Device, OnDevice};
use crate::engine::cpu::Processor;
use crate::engine::{Engine, Pass, Passes, Room};
use crate::evaluate::inputs;
use crate::network::{Batch, BatchSum, Forward, Gradients, Network, Normalization, ValueId};
use crate::random::{Purpose, Stream};
use crate::recipe::InputScaling;
use crate::{LayerSpec, Recipe, Trainer};

const INPUT: InputScaling = InputScaling { zero_pixel: 120, scale: 0.02 };

fn network(layers: &str) -> Network {
    let text = format!(
        "name = \"n\"\nseed = 3\nepochs = 1\nbatch_size = 1\nschedule = \"constant\"\n\
         input = {{ zero_pixel = 120, scale = 0.02 }}\nnetwork = {layers}"
    );
    let specs: Vec<LayerSpec> = Recipe::from_toml(&text).expect("parses").network;
    let mut network = Network::build(&specs, [16, 16, 1], 3).expect("builds");
    // Biases, scales and shifts begin at 0, which would hide what is wrong with them.
    let mut stream = Stream::new(5, Purpose::Initialization, 0);
    for parameter in &mut network.parameters {
        for value in &mut parameter.values {
            *value += 0.1 * stream.normal() as f32;
        }
    }
    network
}

/// All layers, with the odd sizes that hide behind round ones.
fn networks() -> Vec<(&'static str, Network)> {
    let text = [
        (
            "bias, odd stride, windows that leave a rest",
            r#"[{ conv2d = { channels = 5, kernel = 3, stride = 3 } }, "relu",
                { max_pool = { window = 4 } }, { conv2d = { channels = 3, kernel = 1 } },
                { fully_connected = { features = 7 } }, "relu", { fully_connected = { features = 10 } }]"#,
        ),
        (
            "batch norm and residuals",
            r#"[{ resnet = { blocks = [1, 1], width = 4, classes = 10, norm = "batch" } }]"#,
        ),
        (
            "group norm and residuals",
            r#"[{ resnet = { blocks = [1, 1], width = 8, classes = 10, norm = "group" } }]"#,
        ),
        (
            "both, averages, a kernel of five",
            r#"[{ conv2d = { channels = 6, kernel = 5, bias = false } }, "batch_norm", "relu",
                { average_pool = { window = 3 } },
                { conv2d = { channels = 6, kernel = 3, stride = 2, bias = false } },
                { group_norm = { groups = 3 } }, "relu", "global_average_pool",
                { fully_connected = { features = 10 } }]"#,
        ),
    ];
    text.map(|(name, layers)| (name, network(layers))).into()
}

fn images(count: usize) -> Dataset {
    shapes::generate(shapes::SEED, Split::Train, count)
}

fn close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    // What cancels to nothing, like the gradient of a bias before a batch normalization, is rounding alone.
    let most = theirs.iter().fold(1e-2_f32, |most, x| most.max(x.abs()));
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() < 1e-4 * most, "{what} [{index}]: {a}, on the processor {b}");
    }
}

/// The kernels as C, and a GPU where there is one; both by patches and with convolutions as a whole.
fn devices() -> Vec<Box<dyn Passes>> {
    let mut devices: Vec<Box<dyn Passes>> = Vec::new();
    for host in [Host::new(), Host::convolving(Whole::Right)].into_iter().flatten() {
        devices.push(Box::new(OnDevice::new(host)));
    }
    #[cfg(feature = "cuda")]
    for cuda in [super::cuda::Cuda::by_patches(), super::cuda::Cuda::new()].into_iter().flatten() {
        devices.push(Box::new(OnDevice::new(cuda)));
    }
    devices
}

#[test]
fn convolutions_are_whole_only_where_the_device_has_them() {
    let (Some(mut patches), Some(mut whole)) = (Host::new(), Host::convolving(Whole::Right)) else {
        return;
    };
    for (layer, images) in layers() {
        let product = Product::conv(&layer);
        assert_eq!(product.whole(&mut patches, images).expect("asks"), None);
        let convolution = product.whole(&mut whole, images).expect("asks").expect("has it");
        assert!(patches.convolves(&convolution).is_ok_and(|has| !has));
        let int = |size: usize| i32::try_from(size).expect("small");
        let [height, width, channels] = layer.input.map(int);
        let [out_height, out_width, out] = layer.output.map(int);
        let (images_, kernel) = (int(images), int(layer.kernel));
        assert_eq!(convolution.input(), [images_, channels, height, width]);
        assert_eq!(convolution.output(), [images_, out, out_height, out_width]);
        assert_eq!(convolution.weights(), [out, channels, kernel, kernel]);
        assert_eq!(product.by_patches().whole(&mut whole, images).expect("asks"), None);
    }
    // A matrix of pixels is its own patches.
    let (mut layer, images) = layers().next().expect("some");
    (layer.kernel, layer.padding) = (1, 0);
    assert_eq!(Product::conv(&layer).whole(&mut whole, images).expect("asks"), None);
}

#[test]
fn a_library_is_used_if_it_gives_what_patches_give() {
    let checked = |whole| {
        let mut host = Host::convolving(whole)?;
        Some((check(&mut host), host.convolved()))
    };
    let Some((right, convolved)) = checked(Whole::Right) else { return };
    let layers = layers().count();
    // Forward and two ways back, twice.
    assert_eq!((right, convolved), (Ok(0), 6 * layers));
    let (strided, convolved) = checked(Whole::Strided).expect("as above");
    assert_eq!((strided, convolved), (Ok(layers - 3), 6 * 3));
    for (wrong, reason) in [
        (Whole::Absent, "no algorithm"),
        (Whole::Rough, "where patches give"),
        (Whole::Replacing, "gradient of the input is"),
        (Whole::Unsteady, "not the same at every run"),
        (Whole::NotANumber, "NaN where patches give"),
        (Whole::Failing, "EXECUTION_FAILED"),
    ] {
        let (outcome, _) = checked(wrong).expect("as above");
        assert!(
            outcome.as_ref().is_err_and(|told| told.contains(reason)),
            "{wrong:?}: {outcome:?}"
        );
    }
}

/// One forward and one backward pass: moments, extremes and what comes back.
fn passed(
    engine: &mut dyn Passes,
    pass: &Pass<'_>,
    through: Option<&Gradients<f32>>,
) -> (Forward<f32>, Vec<[f32; 2]>, BatchSum<f32>) {
    let forward = engine.forward(Room::Clean, pass).expect("runs");
    let values: Vec<ValueId> = (0..pass.network.values.len()).map(ValueId).collect();
    let extremes = engine.extremes(Room::Clean, &values).expect("runs");
    let sum = engine.backward(Room::Clean, pass, &forward, through).expect("runs");
    (forward, extremes, sum)
}

#[test]
fn passes_are_those_of_the_processor() {
    for mut device in devices() {
        compare_passes(&mut *device);
    }
}

pub(super) fn compare_passes(device: &mut dyn Passes) {
    let mut processor = Processor::default();
    let data = images(37);
    let x = inputs(&data.images, INPUT);
    for (name, network) in networks() {
        let parameters = network.parameter_values();
        let batch = |image_gradient| Batch {
            inputs: &x,
            labels: &data.labels,
            scale: 0.03,
            memory: None,
            image_gradient,
        };
        let running = network.running_moments();
        // Those of another pass: any numbers will do.
        let others: Gradients<f32> = parameters.clone();
        for normalization in [Normalization::OfBatch, Normalization::Constant(&running)] {
            for through in [None, Some(&others)] {
                let image_gradient = through.is_none();
                let batch = batch(image_gradient);
                let pass =
                    Pass { network: &network, parameters: &parameters, batch, normalization };
                let ours = passed(device, &pass, through);
                let theirs = passed(&mut processor, &pass, through);
                close(name, ours.1.as_flattened(), theirs.1.as_flattened());
                let (our, their) = (&ours.2, &theirs.2);
                assert!((our.loss - their.loss).abs() < 1e-4 * their.loss, "{name}: loss");
                assert!(our.wrong.abs_diff(their.wrong) <= 1, "{name}: wrong images");
                let gradients = our.gradients.iter().zip(&their.gradients).enumerate();
                for (index, (ours, theirs)) in gradients {
                    close(&format!("{name}: {}", network.parameters[index].name), ours, theirs);
                }
                assert_eq!(our.images.len(), if image_gradient { x.len() } else { 0 });
                close(&format!("{name}: images"), &our.images, &their.images);
                for (ours, theirs) in ours.0.statistics.iter().zip(&theirs.0.statistics) {
                    close(name, &ours.mean, &theirs.mean);
                    close(name, &ours.variance, &theirs.variance);
                }
            }
        }
        let score = |engine: &mut dyn Passes| {
            engine.evaluate(&network, &parameters, INPUT, &images(600), None).expect("runs")
        };
        let (ours, theirs) = (score(device), score(&mut processor));
        assert!((ours.loss - theirs.loss).abs() < 1e-4 * theirs.loss, "{name}");
        assert!(ours.wrong.abs_diff(theirs.wrong) <= 1, "{name}");
    }
}

#[test]
fn a_batch_of_another_size_uses_the_same_room() {
    for mut device in devices() {
        compare_sizes(&mut *device);
    }
}

pub(super) fn compare_sizes(device: &mut dyn Passes) {
    let mut processor = Processor::default();
    let (_, network) = &networks()[1];
    let parameters = network.parameter_values();
    for count in [20, 3, 33] {
        let data = images(count);
        let x = inputs(&data.images, INPUT);
        let batch = Batch {
            inputs: &x,
            labels: &data.labels,
            scale: 1.0,
            memory: None,
            image_gradient: false,
        };
        let normalization = Normalization::OfBatch;
        let pass = Pass { network, parameters: &parameters, batch, normalization };
        let ours = passed(device, &pass, None);
        let theirs = passed(&mut processor, &pass, None);
        close("gradients", &ours.2.gradients.concat(), &theirs.2.gradients.concat());
    }
}

#[test]
fn a_run_is_that_of_the_processor() {
    if let Some(engine) = Engine::emulated() {
        compare_run(engine);
    }
}

/// A whole run under errors in weights, activations and inputs, whose first steps leave both engines with the
/// same weights but for rounding.
pub(super) fn compare_run(engine: Engine) {
    let text = r#"
name = "run"
seed = 5
epochs = 1
batch_size = 50
schedule = "cosine"
clip = 0.4
network = [{ resnet = { blocks = [1, 1], width = 4, classes = 10, norm = "batch" } }]
[quantization]
bits = 8
[bit_errors]
rate = 0.01
activations_rate = 0.002
inputs_rate = 0.002
start_loss = 100.0
[rerr]
rate = 0.01
activations_rate = 0.002
chips = 2
[optimizer]
learning_rate = 0.01
momentum = 0.9
weight_decay = 5e-4
[input]
zero_pixel = 120
scale = 0.02
"#;
    let recipe = Recipe::from_toml(text).expect("valid");
    let (data, test) = (images(200), images(100));
    let name = engine.name().to_owned();
    let run = |engine: Option<Engine>| {
        let mut trainer = Trainer::new(&recipe, &data, &test).expect("fits");
        if let Some(engine) = engine {
            trainer = trainer.with_engine(engine);
        }
        let metrics = trainer.epoch(|_, _| std::ops::ControlFlow::Continue(())).expect("trains");
        (metrics.expect("one").clone(), trainer.finish().network.parameter_values().concat())
    };
    let ((ours, our_weights), (theirs, their_weights)) = (run(Some(engine)), run(None));
    assert_eq!([ours.engine.as_str(), &theirs.engine], [&name, "cpu"]);
    assert!((ours.loss - theirs.loss).abs() < 1e-3 * theirs.loss, "{ours:?} {theirs:?}");
    let [ours, theirs] = [ours, theirs].map(|metrics| metrics.perturbed_loss.expect("errors"));
    assert!((ours - theirs).abs() < 5e-3 * theirs, "{ours} {theirs}");
    let difference = our_weights.iter().zip(&their_weights).map(|(a, b)| f64::from(a - b).powi(2));
    let size = their_weights.iter().map(|&b| f64::from(b).powi(2)).sum::<f64>();
    assert!(difference.sum::<f64>() < 1e-4 * size);
}
