//! Damaged model files are refused or read, never a panic; what is read can be run.

use vmin_nn::{
    Graph, Limits, ModelError,
    import::{native, tflite},
};

type Load = fn(&[u8], &Limits) -> Result<Graph, ModelError>;

fn small_limits() -> Limits {
    let mut limits = Limits::default();
    limits.tensor_elements_max = 1 << 20;
    limits.activation_elements_max = 1 << 22;
    limits.macs_max = 1 << 28;
    limits
}

/// Byte flips, overwritten words, cuts and splices of `original`.
fn mutations(original: &[u8], count: u64, load: Load) -> usize {
    let limits = small_limits();
    let mut accepted = 0;
    for seed in 0..count {
        let mut rng = vmin_testkit::Lcg(seed);
        let mut bytes = original.to_vec();
        let position = |rng: &mut vmin_testkit::Lcg, bytes: &[u8]| {
            let wide = (0..4).fold(0usize, |p, _| p << 8 | usize::from(rng.byte()));
            // Half of the damage goes where the structure is, not the weights.
            let span = if rng.byte() < 128 { bytes.len().min(4096) } else { bytes.len() };
            wide % span.max(1)
        };
        for _ in 0..rng.pick(1..=6) {
            let at = position(&mut rng, &bytes);
            match rng.pick(0..=4) {
                0 if at < bytes.len() => bytes[at] ^= 1 << rng.pick(0..=7),
                1 if at < bytes.len() => bytes[at] = rng.byte(),
                2 => {
                    let word = [[0xff; 4], [0xff, 0xff, 0xff, 0x7f], [0; 4]][rng.pick(0..=2)];
                    bytes.iter_mut().skip(at).zip(word).for_each(|(b, w)| *b = w);
                }
                3 => bytes.truncate(at),
                _ => {
                    let from = position(&mut rng, &bytes);
                    let end = (from + rng.pick(1..=64)).min(bytes.len());
                    let piece = bytes[from.min(end)..end].to_vec();
                    let at = at.min(bytes.len());
                    bytes.splice(at..at, piece);
                }
            }
        }
        if let Ok(graph) = load(&bytes, &limits) {
            accepted += 1;
            let _ = graph.layers();
            assert_eq!(graph.validate_within(&limits).map_err(|e| e.to_string()), Ok(()));
        }
    }
    accepted
}

#[test]
fn model_files_survive_two_thousand_mutations_and_every_cut() {
    let graph = vmin_testkit::random_graph(3);
    let bytes = native::save(&graph).unwrap();
    for cut in 0..bytes.len() {
        assert!(native::load(&bytes[..cut], &Limits::default()).is_err(), "cut at {cut}");
    }
    let accepted = mutations(&bytes, 2_000, native::load);
    assert!(accepted > 0, "some damage only changes weights");
}

#[test]
fn tflite_files_survive_two_thousand_mutations() {
    let file = "models/mlperf-tiny/pretrainedResnet_quant.tflite";
    let Some(path) = vmin_testkit::data(file) else { return };
    let bytes = std::fs::read(path).unwrap();
    let accepted = mutations(&bytes, 2_000, tflite::load);
    assert!(accepted > 0, "some damage only changes weights");
    for cut in (0..bytes.len()).step_by(97) {
        let _ = tflite::load(&bytes[..cut], &Limits::default());
    }
}

#[test]
fn a_saved_graph_reads_back_the_same_and_gives_the_same_bytes() {
    for seed in 0..50 {
        let graph = vmin_testkit::random_graph(seed);
        let bytes = native::save(&graph).unwrap();
        let read = native::load(&bytes, &Limits::default()).unwrap();
        assert_eq!(read, graph);
        assert_eq!(native::save(&read).unwrap(), bytes);
    }
}

#[test]
fn unknown_fields_and_versions_are_refused() {
    let graph = vmin_testkit::random_graph(3);
    let bytes = native::save(&graph).unwrap();
    let replaced = |from: &str, to: &str| {
        let (from, to) = (from.as_bytes(), to.as_bytes());
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        native::load(&bytes, &Limits::default())
    };
    let version = replaced(r#"version\":1"#, r#"version\":2"#);
    assert!(matches!(version, Err(ModelError::Version { found: 2, supported: 1 })));
    let field = replaced("pixel_offset", "pixel_Offset");
    assert!(matches!(field, Err(ModelError::Header { .. })));
}
