//! Real networks against LiteRT's reference kernels on pseudo-random inputs.
//!
//! The digests were made with `ai-edge-litert` 2.3.0, `OpResolverType.BUILTIN_REF`: four inputs of
//! bytes `state >> 56` of the generator `Lcg` from state 1, the SHA-256 of the four outputs
//! one after the other (unsigned outputs with their top bit flipped, as they are held here).

use sha2::{Digest, Sha256};
use vmin_nn::exec::reference;
use vmin_nn::{Dtype, Executor, model};

fn check(file: &str, weights_total: usize, digest: &str) {
    let Some(path) = vmin_testkit::data(&format!("models/{file}")) else { return };
    check_file(path.to_str().unwrap(), weights_total, digest);
}

fn check_file(file: &str, weights_total: usize, digest: &str) {
    let graph = model::load(file).unwrap();
    assert_eq!(graph.weights_total(), weights_total);
    let codes: Vec<_> = graph.weights.iter().map(|w| w.codes.clone()).collect();
    let input = &graph.tensors[graph.input.0];
    let mut rng = vmin_testkit::Lcg(1);
    let flip = if input.dtype == Dtype::U8 { 0x80 } else { 0 };
    let images: Vec<Vec<i8>> = (0..4)
        .map(|_| (0..input.elements()).map(|_| (rng.byte() ^ flip) as i8).collect())
        .collect();
    for kernel in vmin_kernels::available() {
        let executor = Executor::new(&graph, kernel);
        let weights = executor.load_weights(&codes);
        let mut scratch = executor.scratch();
        let mut hash = Sha256::new();
        for image in &images {
            let output = executor.run(&weights, image, &mut scratch);
            hash.update(output.iter().map(|&x| x as u8).collect::<Vec<_>>());
        }
        let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, digest, "{file} with {}", kernel.name());
    }
    if graph.macs() < 20_000_000 {
        let slow = reference::run(&graph, &codes, &images[0]).unwrap();
        let executor = Executor::new(&graph, vmin_kernels::best());
        assert_eq!(executor.run_all(&executor.load_clean_weights(), &images[0]), slow, "{file}");
    }
}

#[test]
fn resnet_8() {
    let digest = "2cd5514b13af38e1539f2784dcabe06240978c8e55d8458a086a53bf2c6e704e";
    check("mlperf-tiny/pretrainedResnet_quant.tflite", 77_360, digest);
}

#[test]
fn mobilenet_v1_visual_wake_words() {
    let digest = "356acea2188ce4f0bc9f3e331497ab9f9a425c00ce94818a30e394ea053d6433";
    check("mlperf-tiny/vww_96_int8.tflite", 208_112, digest);
}

#[test]
fn autoencoder() {
    let digest = "b11c95d4ffed562e32b4393e46786e28c24a792b13065f5c1e1ff90dd60d2e34";
    check("mlperf-tiny/ad01_int8.tflite", 264_192, digest);
}

#[test]
fn mobilenet_v2_unsigned_per_tensor() {
    let digest = "3e7a54bf9d5d8b28d1ed22eaa7db46c280d63c5cc4e05ec19cf2ca0fe5bc074f";
    check("coral/mobilenet_v2_1.0_224_quant.tflite", 3_471_040, digest);
}

/// Vectors of 8 bytes at multiples of 4.
#[test]
fn keyword_spotting() {
    let digest = "9e1eb4bb55da8ea1078acd59b4fef7e7010efd9760d9acb8a3521303bd9c3237";
    let file =
        "mltk__cpp_shared_apps_ble_audio_classifier_config_tflite_keyword_spotting_pacman_v3";
    check(&format!("tflite-wide/{file}.tflite"), 234_360, digest);
}

/// Small networks made for this test: both operators on pools of the input and the input itself.
#[test]
fn maximum_and_minimum() {
    for (name, digest) in [
        ("int8", "f0f0f337d37bb9b480cd934b1acaf99e927008842a9157f8497854c31bba178d"),
        ("uint8", "0b452c49e12c297dc6052be7310443e738532002c0c9302d868a43e708200473"),
    ] {
        let root = env!("CARGO_MANIFEST_DIR");
        let file = format!("{root}/tests/data/maximum_minimum_{name}.tflite");
        check_file(&file, 0, digest);
        let graph = model::load(&file).unwrap();
        let kinds: Vec<_> = graph.layers().iter().map(|layer| layer.kind).collect();
        assert_eq!(kinds, ["average_pool", "maximum", "max_pool", "minimum"]);
        let layer = graph.layer(1);
        assert_eq!((layer.vector_reads, layer.vector_writes), (2 * 60, 60));
        let mut other = graph;
        other.tensors[2].quantization.scale *= 2.0;
        let error = other.validate().unwrap_err().to_string();
        assert!(error.contains("maximum_1") && error.contains("one quantization"), "{error}");
    }
}
