//! Small TFLite files with the outputs of LiteRT 2.3.0's reference kernels.

use vmin_nn::{Executor, Graph, Limits, Pixels, import};
use vmin_testkit::tflite::{INT8, Tflite, TfliteOperator, TfliteTensor};

fn load(file: &Tflite) -> Graph {
    import::tflite::load(&file.bytes(), &Limits::default()).unwrap()
}

fn run(graph: &Graph, input: &[i8]) -> Vec<i8> {
    let executor = Executor::new(graph, vmin_kernels::best());
    executor.run_all(&executor.load_clean_weights(), input).pop().unwrap()
}

/// A fully connected layer of one weight, 1.
fn one_weight([input, weight, output]: [f32; 3]) -> Graph {
    let codes = |scale, data: &[u8]| TfliteTensor::codes(INT8, &[1, 1], scale, 0, data);
    let tensors =
        vec![codes(input, &[]), codes(weight, &[1]), TfliteTensor::bias(&[0]), codes(output, &[])];
    let operators = vec![TfliteOperator::fully_connected(&[0, 1, 2], 3)];
    load(&Tflite::new(tensors, operators))
}

#[test]
fn fully_connected_layers_round_in_double_precision() {
    assert_eq!(run(&one_weight([1.0, 0.5, 1.0]), &[-3]), [-2]);
    assert_eq!(run(&one_weight([0.1, 0.01, 0.002]), &[1]), [0]);
    let graph = one_weight([0.1, 0.3, 0.18]);
    let outputs: Vec<i8> = [-123, -3, 1, 100].iter().flat_map(|&x| run(&graph, &[x])).collect();
    assert_eq!(outputs, [-21, -1, 0, 17]);
}

#[test]
fn vectors_of_8_bytes_may_lie_at_multiples_of_4() {
    let tensors = vec![
        TfliteTensor::codes(INT8, &[1, 4], 0.1, 0, &[]),
        TfliteTensor::codes(INT8, &[3, 4], 0.02, 0, &[1; 12]),
        TfliteTensor::codes(INT8, &[1, 3], 0.4, 1, &[]),
    ];
    let operators = vec![TfliteOperator::fully_connected(&[0, 1, -1], 2)];
    let mut file = Tflite::new(tensors, operators);
    let aligned = load(&file);
    file.unaligned = true;
    let bytes = file.bytes();
    // The last zero point is 1, after a vector's length of 1.
    let vector = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let at = bytes.windows(12).position(|bytes| bytes == vector).expect("a zero point of 1") + 4;
    assert_eq!(at % 8, 4);
    let graph = load(&file);
    assert_eq!(graph, aligned);
    assert_eq!(run(&graph, &[1, 2, 3, 4]), [1, 1, 1]);
    assert_eq!(run(&graph, &[127, 100, -3, 4]), [2, 2, 2]);
}

#[test]
fn a_channel_of_scale_0_gives_its_zero_point() {
    let weights = TfliteTensor {
        scales: vec![0.02, 0.0],
        zero_points: vec![0, 0],
        ..TfliteTensor::codes(INT8, &[2, 1, 1, 1], 1.0, 0, &[50, 0])
    };
    let tensors = vec![
        TfliteTensor::codes(INT8, &[1, 2, 2, 1], 0.1, 0, &[]),
        weights,
        TfliteTensor::bias(&[3, 0]),
        TfliteTensor::codes(INT8, &[1, 2, 2, 2], 0.1, 0, &[]),
    ];
    let graph = load(&Tflite::new(tensors, vec![TfliteOperator::conv(&[0, 1, 2], 3)]));
    assert_eq!(run(&graph, &[9, -9, 60, 1]), [9, 0, -9, 0, 60, 0, 1, 0]);
    let bytes = import::native::save(&graph).unwrap();
    assert_eq!(import::native::load(&bytes, &Limits::default()).unwrap(), graph);
    let fewer_bits = vmin_nn::with_weight_bits(&graph, 4).unwrap();
    assert_eq!(run(&fewer_bits, &[9, -9, 60, 1]), [9, 0, -9, 0, 60, 0, 1, 0]);
}

#[test]
fn a_softmax_of_steps_beyond_its_range_is_a_maximum() {
    for (scale, beta) in [(16.0, 1.0), (1.0, 16.0), (1000.0, 7.0)] {
        let tensors = vec![
            TfliteTensor::codes(INT8, &[1, 3], scale, 0, &[]),
            TfliteTensor::codes(INT8, &[1, 3], 1.0 / 256.0, -128, &[]),
        ];
        let graph = load(&Tflite::new(tensors, vec![TfliteOperator::softmax(0, 1, beta)]));
        assert_eq!(run(&graph, &[1, 2, 3]), [-128, -128, 127]);
        assert_eq!(run(&graph, &[3, 3, 1]), [0, 0, -128]);
        assert_eq!(run(&graph, &[5, 5, 5]), [-43, -43, -43]);
        assert_eq!(run(&graph, &[-128, 127, 126]), [-128, 127, -128]);
    }
}

/// QUANTIZE, RESHAPE, a layer that copies the first pixel, DEQUANTIZE.
fn float_input() -> Graph {
    let mut weights = [0; 8];
    weights[0] = 100;
    let tensors = vec![
        TfliteTensor::float(&[1, 2, 2, 1]),
        TfliteTensor::codes(INT8, &[1, 2, 2, 1], 0.05, -25, &[]),
        TfliteTensor::codes(INT8, &[1, 4], 0.05, -25, &[]),
        TfliteTensor::codes(INT8, &[2, 4], 0.01, 0, &weights),
        TfliteTensor::bias(&[0, 0]),
        TfliteTensor::codes(INT8, &[1, 2], 0.05, 0, &[]),
        TfliteTensor::float(&[1, 2]),
    ];
    let operators = vec![
        TfliteOperator::new(114, &[0], 1, None),
        TfliteOperator::new(22, &[1], 2, None),
        TfliteOperator::fully_connected(&[2, 3, 4], 5),
        TfliteOperator::new(6, &[5], 6, None),
    ];
    load(&Tflite::new(tensors, operators))
}

#[test]
fn pixels_enter_a_float_input_through_its_quantize() {
    let mut graph = float_input();
    let error = graph.input_codes(&[0; 4]).unwrap_err().to_string();
    assert!(error.contains("-5.15") && error.contains("zero point -25"), "{error}");
    // LiteRT's outputs for these reals, over its output scale of 0.05.
    let unit = Pixels::Normalized { mean: vec![0.0], std: vec![1.0 / 255.0] };
    for (rule, pixel, expected) in [
        (Pixels::Unit, 255, 20),
        (Pixels::Unit, 0, 0),
        (Pixels::Unit, 1, 0),
        (Pixels::Signed, 0, -20),
        (Pixels::Bytes, 8, 127),
        (Pixels::Bytes, 2, 40),
        (unit, 2, 40),
    ] {
        graph.pixels = Some(rule);
        let codes = graph.input_codes(&[pixel, 0, 0, 0]).unwrap();
        assert_eq!(run(&graph, &codes)[0], expected, "{:?} {pixel}", graph.pixels);
    }
}
