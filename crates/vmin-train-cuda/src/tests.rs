//! The passes of a device against the passes of the processor. The kernels are compiled as C; without a C compiler the
//! tests are skipped.

use vmin_nn::data::{Dataset, Split, shapes};
use vmin_train::engine::{
    Batch, BatchSum, Evaluation, Forward, Gradients, Normalization, Pass, Passes, Slot,
};
use vmin_train::network::ValueId;
use vmin_train::{Engine, InputScaling, Network, Recipe, Trainer};

use crate::check::{check, layers, noise};
use crate::cuda::Cuda;
use crate::device::{Device, KERNELS, Kernel};
use crate::host::{Host, Whole};
use crate::passes::OnDevice;
use crate::products::Product;

const INPUT: InputScaling = InputScaling { zero_pixel: 120, scale: 0.02 };

fn network(layers: &str) -> Network {
    let text = format!(
        "name = \"n\"\nseed = 3\nepochs = 1\nbatch_size = 1\nschedule = \"constant\"\n\
         input = {{ zero_pixel = 120, scale = 0.02 }}\nnetwork = {layers}"
    );
    let layers = Recipe::from_toml(&text).expect("parses").network;
    let mut network = Network::build(&layers, [16, 16, 1], 3).expect("builds");
    // Biases, scales and shifts start at 0, which would hide errors in them.
    let values = network.parameters.iter_mut().flat_map(|parameter| &mut parameter.values);
    // Seed 5 would put an activation on the edge of a rectifier: there the processor's own gradient jumps by 5e-4
    // when the parameters change by one part in a million.
    values.zip(noise(7)).for_each(|(value, noise)| *value += 0.2 * noise);
    network
}

/// All layers, with odd sizes, because round sizes hide errors.
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
    let mut networks: Vec<_> = text.map(|(name, layers)| (name, network(layers))).into();
    let mut cut = network(text[1].1);
    cut.limits[1..].fill([-0.8, 0.7]);
    networks.push(("values that are cut off", cut));
    networks
}

fn images(count: usize) -> Dataset {
    shapes::generate(shapes::SEED, Split::Train, count)
}

fn close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    // Values that cancel to 0, like the gradient of a bias before a batch normalization, are rounding only.
    let most = theirs.iter().fold(1e-2_f32, |most, x| most.max(x.abs()));
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() < 1e-4 * most, "{what} [{index}]: {a}, on the processor {b}");
    }
}

/// The kernels as C, and a GPU if this machine has one; both with and without patches.
fn devices() -> Vec<Box<dyn Passes>> {
    let mut devices: Vec<Box<dyn Passes>> = Vec::new();
    for host in [Host::new(), Host::convolving(Whole::Right)].into_iter().flatten() {
        devices.push(Box::new(OnDevice::new(host)));
    }
    for cuda in [Cuda::by_patches(), Cuda::new()].into_iter().flatten() {
        devices.push(Box::new(OnDevice::new(cuda)));
    }
    devices
}

#[test]
fn every_kernel_is_listed() {
    let names = KERNELS.split("\nKERNEL(").skip(1).filter_map(|rest| rest.split(')').next());
    assert_eq!(names.collect::<Vec<_>>(), Kernel::ALL.map(|(_, name)| name));
}

#[test]
fn patches_are_avoided_only_if_the_device_has_an_algorithm() {
    let (Some(mut patches), Some(mut whole)) = (Host::new(), Host::convolving(Whole::Right)) else {
        return;
    };
    for (layer, images) in layers() {
        let product = Product::conv(&layer);
        assert_eq!(product.whole(&mut patches, images).expect("no error"), None);
        let convolution =
            product.whole(&mut whole, images).expect("no error").expect("has an algorithm");
        assert!(patches.convolves(&convolution).is_ok_and(|has| !has));
        let int = |size: usize| i32::try_from(size).expect("small");
        let [height, width, channels] = layer.input.map(int);
        let [out_height, out_width, out] = layer.output.map(int);
        let (images_, kernel) = (int(images), int(layer.kernel));
        assert_eq!(convolution.input(), [images_, channels, height, width]);
        assert_eq!(convolution.output(), [images_, out, out_height, out_width]);
        assert_eq!(convolution.weights(), [out, channels, kernel, kernel]);
        assert_eq!(product.by_patches().whole(&mut whole, images).expect("no error"), None);
    }
    // The patches of a 1x1 kernel are the pixels themselves.
    let (mut layer, images) = layers().next().expect("some");
    (layer.kernel, layer.padding) = (1, 0);
    assert_eq!(Product::conv(&layer).whole(&mut whole, images).expect("no error"), None);
}

#[test]
fn the_self_check_rejects_faulty_libraries() {
    let checked = |whole| {
        let mut host = Host::convolving(whole)?;
        Some((check(&mut host), host.convolved()))
    };
    let Some((right, convolved)) = checked(Whole::Right) else { return };
    let layers = layers().count();
    // One forward and two backward passes, twice.
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
            outcome.as_ref().is_err_and(|error| error.contains(reason)),
            "{wrong:?}: {outcome:?}"
        );
    }
}

/// One forward and one backward pass: moments, extremes and gradients.
fn passed(
    engine: &mut dyn Passes,
    pass: &Pass<'_>,
    through: Option<&Gradients<f32>>,
) -> (Forward<f32>, Vec<[f32; 2]>, BatchSum<f32>) {
    let forward = engine.forward(Slot::Clean, pass).expect("runs");
    let values: Vec<ValueId> = (0..pass.network.values.len()).map(ValueId).collect();
    let extremes = engine.extremes(Slot::Clean, &values).expect("runs");
    let sum = engine.backward(Slot::Clean, pass, &forward, through).expect("runs");
    (forward, extremes, sum)
}

#[test]
fn passes_agree_with_the_processor() {
    for mut device in devices() {
        compare_passes(&mut *device);
    }
}

pub(crate) fn compare_passes(device: &mut dyn Passes) {
    let mut processor = Engine::cpu();
    let data = images(37);
    let x = INPUT.inputs(&data.images);
    for (name, network) in networks() {
        let parameters = network.parameter_values();
        let running = network.running_moments();
        // Gradients of another pass; any numbers are fine.
        let others: Gradients<f32> = parameters.clone();
        for normalization in [Normalization::OfBatch, Normalization::Constant(&running)] {
            for through in [None, Some(&others)] {
                let image_gradient = through.is_none();
                let mut batch = Batch::new(&x, &data.labels, 0.03);
                batch.image_gradient = image_gradient;
                let pass =
                    Pass { network: &network, parameters: &parameters, batch, normalization };
                let ours = passed(device, &pass, through);
                let theirs = passed(processor.passes(), &pass, through);
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
        let test = images(600);
        let evaluation = Evaluation::new(&network, &parameters, INPUT, &test);
        let score = |engine: &mut dyn Passes| engine.evaluate(&evaluation).expect("runs");
        let (ours, theirs) = (score(device), score(processor.passes()));
        assert!((ours.loss - theirs.loss).abs() < 1e-4 * theirs.loss, "{name}");
        assert!(ours.wrong.abs_diff(theirs.wrong) <= 1, "{name}");
    }
}

#[test]
fn batches_may_differ_in_size() {
    for mut device in devices() {
        compare_sizes(&mut *device);
    }
}

pub(crate) fn compare_sizes(device: &mut dyn Passes) {
    let mut processor = Engine::cpu();
    let (_, network) = &networks()[1];
    let parameters = network.parameter_values();
    for count in [20, 3, 33] {
        let data = images(count);
        let x = INPUT.inputs(&data.images);
        let batch = Batch::new(&x, &data.labels, 1.0);
        let normalization = Normalization::OfBatch;
        let pass = Pass { network, parameters: &parameters, batch, normalization };
        let ours = passed(device, &pass, None);
        let theirs = passed(processor.passes(), &pass, None);
        close("gradients", &ours.2.gradients.concat(), &theirs.2.gradients.concat());
    }
}

#[test]
fn a_run_agrees_with_the_processor() {
    if let Some(host) = Host::new() {
        compare_run(Engine::new(Box::new(OnDevice::new(host)), "host".to_owned(), None));
    }
}

/// A whole run under errors in weights, activations, inputs and sums. After its few steps the weights of both engines differ by
/// rounding only.
pub(crate) fn compare_run(engine: Engine) {
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
sums_rate = 0.0002
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
