//! Names of models and what is said when one cannot be loaded.

use vmin_nn::import::{FORMATS, by_content, by_ending};
use vmin_nn::{Limits, ModelError, model};

#[test]
fn each_way_to_fail_has_its_own_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = folder.path().join("missing.tflite");
    assert!(matches!(model::load(missing.to_str().unwrap()), Err(ModelError::Io { .. })));
    for spec in ["builtin:nonesuch", "network.onnx", "network", ""] {
        assert!(matches!(model::load(spec), Err(ModelError::UnknownModel { .. })), "{spec}");
    }
    let wrong = file("a.tflite", b"\x1c\0\0\0ABCD and more");
    let error = model::load(&wrong).unwrap_err().to_string();
    assert_eq!(error, "not a TFLite file: bytes 4..8 are `ABCD`, not `TFL3`");
    let damaged = file("b.tflite", b"\xff\xff\0\0TFL3 and more");
    assert!(matches!(model::load(&damaged), Err(ModelError::Flatbuffer { .. })));
    let damaged = file("b.safetensors", &[0xff; 40]);
    assert!(matches!(model::load(&damaged), Err(ModelError::Safetensors { .. })));
    let foreign = file("c.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    assert!(matches!(model::load(&foreign), Err(ModelError::WrongFormat { .. })));
    let mut limits = Limits::default();
    limits.file_bytes_max = 9;
    let error = model::load_within(&foreign, &limits).map(|_| ()).unwrap_err();
    assert!(matches!(error, ModelError::FileTooLarge { bytes_max: 9, .. }), "{error}");
}

#[test]
fn a_saved_file_loads_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let graph = vmin_testkit::random_graph(11);
    std::fs::write(&path, vmin_nn::import::native::save(&graph).unwrap()).unwrap();
    assert_eq!(model::load(path.to_str().unwrap()).unwrap(), graph);
    // Without a known ending, the first bytes identify the format.
    let bare = folder.path().join("network");
    std::fs::rename(path, &bare).unwrap();
    assert_eq!(model::load(bare.to_str().unwrap()).unwrap(), graph);
}

#[test]
fn every_folder_of_the_importers_is_in_the_list() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/import");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(entries.filter(|path| path.is_dir()).count(), FORMATS.len());
    for format in FORMATS {
        assert_eq!(by_ending(format.ending).unwrap().ending, format.ending);
        let (offset, magic) = format.magic;
        let file = [&vec![0; offset], magic].concat();
        assert_eq!(by_content(&file).unwrap().ending, format.ending);
    }
}

#[test]
fn an_unsupported_operator_is_named_with_the_supported_ones() {
    let file = "models/coral/tf2_mobilenet_v2_1.0_224_ptq.tflite";
    let Some(path) = vmin_testkit::data(file) else { return };
    let error = model::load(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("builtin operator 40") && error.contains("CONV_2D"), "{error}");
}

#[test]
fn broken_graphs_are_refused_by_rule() {
    let valid = vmin_testkit::random_graph(5);
    valid.validate().unwrap();
    let refuse = |what: &str, damage: &dyn Fn(&mut vmin_nn::Graph)| {
        let mut graph = valid.clone();
        damage(&mut graph);
        assert!(graph.validate().is_err(), "{what}");
    };
    refuse("a scale of zero", &|g| g.tensors[0].quantization.scale = 0.0);
    refuse("a scale that is no number", &|g| g.tensors[0].quantization.scale = f32::NAN);
    refuse("a zero point out of range", &|g| g.tensors[0].quantization.zero_point = 128);
    refuse("a code too few", &|g| g.weights[0].codes.truncate(1));
    refuse("nine bits", &|g| g.weights[0].bits = 9);
    refuse("a scale too many", &|g| g.weights[0].scales.extend([1.0; 100]));
    refuse("an endless shape", &|g| g.tensors[0].shape = vec![usize::MAX; 3]);
    refuse("an empty shape", &|g| g.tensors[0].shape = vec![]);
    refuse("an input out of range", &|g| g.input = vmin_nn::TensorId(999));
    refuse("an output that is not computed", &|g| g.output = vmin_nn::TensorId(999));
    refuse("nodes out of order", &|g| g.nodes.reverse());
    refuse("equal names", &|g| g.nodes[0].name = g.nodes[1].name.clone());
    refuse("a missing input", &|g| g.nodes[0].inputs.clear());
}
