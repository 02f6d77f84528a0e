//! The embedded network on the embedded images.

use vmin_nn::data::{Limits as DataLimits, Split, load};
use vmin_nn::{Executor, Limits, builtin, import::native};

/// Recorded in `docs/results/builtin-network.md`; another count means that the file, the images
/// or the arithmetic changed, and with it every result published on them.
const WRONG: usize = 21;

#[test]
fn the_embedded_network_keeps_its_accuracy_on_every_kernel() {
    let bytes = builtin::bytes("shapes-cnn").expect("the default network is built in");
    let graph = native::load(bytes, &Limits::default()).expect("a valid file");
    let test = load("builtin:shapes", Split::Test, DataLimits::default()).expect("built in");
    for kernel in vmin_kernels::available() {
        let executor = Executor::new(&graph, kernel);
        let (weights, mut scratch) = (executor.load_clean_weights(), executor.scratch());
        let predictions =
            (0..test.len()).map(|i| executor.classify(&weights, test.image(i), &mut scratch));
        let wrong = predictions.zip(&test.labels).filter(|(p, l)| *p != usize::from(**l)).count();
        assert_eq!(wrong, WRONG, "kernel {}", executor.kernel_name());
        let accuracy = 100.0 - 100.0 * wrong as f64 / test.len() as f64;
        assert!((97.0..=99.5).contains(&accuracy), "a task that is neither open nor closed");
    }
}

/// The operators derive their form in the file: a renamed field would change the format.
#[test]
fn embedded_networks_are_saved_to_the_same_bytes() {
    for (name, bytes) in builtin::BUILTIN_MODELS {
        let graph = native::load(bytes, &Limits::default()).expect("a valid file");
        assert!(native::save(&graph).expect("a valid graph") == *bytes, "{name}");
    }
}
