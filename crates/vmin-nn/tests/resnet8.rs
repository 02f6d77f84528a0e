//! MLPerf Tiny ResNet-8 against LiteRT's reference kernels: every byte equal.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use vmin_nn::exec::reference;
use vmin_nn::{Graph, Limits, tflite};

fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VMIN_DATA").map_or_else(
        || Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).to_owned(),
        PathBuf::from,
    );
    let path = root.join("models/mlperf-tiny").join(path);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("skipped: no {} (set VMIN_DATA)", path.display());
    None
}

fn resnet8() -> Option<Graph> {
    let bytes = std::fs::read(data("pretrainedResnet_quant.tflite")?).unwrap();
    Some(tflite::load(&bytes, &Limits::default()).unwrap())
}

fn codes(graph: &Graph) -> Vec<Vec<u8>> {
    graph.weights.iter().map(|w| w.codes.clone()).collect()
}

#[test]
fn every_tensor_of_eight_images_is_that_of_the_reference_kernels() {
    let (Some(graph), Some(golden)) =
        (resnet8(), data("resnet8_int8_golden_layers_first8_refkernels.npz"))
    else {
        return;
    };
    assert_eq!(graph.weights_total(), 77_360);
    assert_eq!(graph.macs(), 12_501_632);
    let mut golden = NpzReader::new(std::fs::File::open(golden).unwrap()).unwrap();
    // Tensors 0 and 22..=37 of the file are the activations, in execution order.
    let tensors: Vec<ArrayD<i8>> = std::iter::once(0)
        .chain(22..=37)
        .map(|i| golden.by_name(&format!("t/{i}")).unwrap())
        .collect();
    let codes = codes(&graph);
    for image in 0..8 {
        let of = |t: &ArrayD<i8>| {
            t.index_axis(ndarray::Axis(0), image).iter().copied().collect::<Vec<i8>>()
        };
        let run = reference::run(&graph, &codes, &of(&tensors[0])).unwrap();
        for (index, tensor) in graph.tensors.iter().enumerate() {
            let expected = tensors.iter().map(of).filter(|t| t.len() == tensor.elements());
            let close = expected.map(|e| e.iter().zip(&run[index]).filter(|(a, b)| a != b).count());
            assert_eq!(close.min(), Some(0), "image {image}, tensor `{}`", tensor.name);
        }
    }
}
