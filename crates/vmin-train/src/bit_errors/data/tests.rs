use vmin_nn::Quantization;

use super::{DataErrors, DataFaults, DataRates, StoredValues, Sums, code, real};
use crate::deploy::{Range, covering, fuse};
use crate::network::{Memory, Network, ValueId};
use crate::random::Purpose;
use crate::recipe::InputScaling;
use crate::{LayerSpec, Recipe};

const INPUT: InputScaling = InputScaling { zero_pixel: 120, scale: 0.02 };

fn errors(inputs: f64, activations: f64, stored: Vec<Option<Quantization>>) -> DataErrors {
    DataErrors {
        rates: DataRates { inputs, activations, sums: 0.0 },
        faults: DataFaults::Transient,
        shapes: vec![[20, 20, 1], [10, 10, 1], [1, 1, 3]],
        stored,
        sums: Sums::default(),
        seed: 5,
        purpose: Purpose::DataErrors,
        index: 3,
    }
}

fn network() -> Network {
    let layers = [
        LayerSpec::MaxPool { window: 2 },
        LayerSpec::Conv2d { channels: 2, kernel: 3, stride: 1, bias: false },
        LayerSpec::BatchNorm,
        LayerSpec::Relu,
        LayerSpec::AveragePool { window: 2 },
        LayerSpec::FullyConnected { features: 3 },
    ];
    Network::build(&layers, [8, 8, 1], 1).expect("layers fit")
}

#[test]
fn values_in_memory_are_those_of_the_integer_network() {
    let network = network();
    let stored = StoredValues::of(&fuse(&network).expect("deployable"));
    // The rectified convolution and the logits have ranges of their own.
    assert_eq!(stored.ranged(), [ValueId(4), ValueId(6)]);
    let range = Range { low: 0.0, high: 2.0 };
    let quantized = stored.quantized(&network, INPUT, &[range, range]);
    let there: Vec<bool> = quantized.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, true, false, false, true, true, true]);
    let image = Quantization { scale: 0.02, zero_point: -8 };
    assert_eq!(quantized[1], Some(image), "a pool of the image has its codes");
    assert_eq!(quantized[5], quantized[4]);
    assert_eq!(quantized[4], Some(covering(range)));
}

#[test]
fn a_group_normalization_reads_its_input_from_memory() {
    let layers = [
        LayerSpec::Conv2d { channels: 4, kernel: 3, stride: 1, bias: false },
        LayerSpec::GroupNorm { groups: None },
        LayerSpec::Relu,
        LayerSpec::FullyConnected { features: 3 },
    ];
    let network = Network::build(&layers, [8, 8, 1], 1).expect("layers fit");
    let stored = StoredValues::of(&fuse(&network).expect("deployable"));
    // The sums of the convolution, the rectified normalization, the logits.
    assert_eq!(stored.ranged(), [ValueId(1), ValueId(3), ValueId(4)]);
    let quantized = stored.quantized(&network, INPUT, &[Range { low: -1.0, high: 1.0 }; 3]);
    let there: Vec<bool> = quantized.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, true, false, true, true]);
}

#[test]
fn codes_by_hand() {
    let quantization = Quantization { scale: 0.5, zero_point: -3 };
    for (x, integer, meaning) in [
        (0.0, -3_i8, 0.0),
        (0.24, -3, 0.0),
        (0.26, -2, 0.5),
        (-10.0, -23, -10.0),
        (1e9, 127, 65.0),
        (-1e9, -128, -62.5),
        (f32::NAN, -128, -62.5),
    ] {
        let stored = code(x, quantization);
        assert_eq!(stored, integer.to_le_bytes()[0], "{x}");
        assert!((real(usize::from(stored), quantization) - meaning).abs() < 1e-6, "{x}");
    }
}

#[test]
fn flips_hit_every_bit_of_activations_at_their_rate() {
    let quantization = Quantization { scale: 1.0, zero_point: 0 };
    let errors = errors(0.0, 0.03, vec![None, Some(quantization)]);
    let made: Vec<f32> = (0..40_000_u32).map(|i| (i % 200) as f32 - 100.0).collect();
    let mut read = Vec::new();
    errors.read_back(ValueId(0), 0, &made, &mut read);
    errors.read_back(ValueId(2), 0, &made, &mut read);
    assert!(read.is_empty(), "values that lie in no memory pass");
    errors.read_back(ValueId(1), 0, &made, &mut read);
    let mut flips = [0.0_f64; 8];
    for (&made, &read) in made.iter().zip(&read) {
        let changed = code(made, quantization) ^ code(read, quantization);
        for (bit, count) in flips.iter_mut().enumerate() {
            *count += f64::from(changed >> bit & 1);
        }
    }
    for count in flips {
        assert!((count - 1_200.0).abs() < 5.0 * 1_200.0_f64.sqrt(), "{flips:?}");
    }
    let mut again = Vec::new();
    errors.read_back(ValueId(1), 0, &made, &mut again);
    assert_eq!(read, again, "a function of step, value and chunk");
    let mut other = Vec::new();
    errors.read_back(ValueId(1), 1, &made, &mut other);
    assert_ne!(read, other);
}

#[test]
fn pixels_flip_at_their_rate_and_by_chunk() {
    let pixels: Vec<u8> = (0..=255).cycle().take(64 * 400).collect();
    let errors = errors(0.02, 0.0, Vec::new());
    let read = errors.batch_pixels(0, &pixels);
    let count: u32 = pixels.iter().zip(&read).map(|(a, b)| (a ^ b).count_ones()).sum();
    let expected = 64.0 * 400.0 * 8.0 * 0.02;
    assert!((f64::from(count) - expected).abs() < 5.0 * f64::sqrt(expected), "{count}");
    let chunk = 16 * 400;
    assert_eq!(*errors.pixels(2, &pixels[2 * chunk..3 * chunk]), read[2 * chunk..3 * chunk]);
    let none = super::DataErrors { rates: DataRates::default(), ..errors };
    assert_eq!(none.batch_pixels(0, &pixels), pixels);
}

#[test]
fn rates_are_checked() {
    let with = |errors: &str| {
        let text = format!(
            "name = \"x\"\nseed = 1\nepochs = 1\nbatch_size = 1\nschedule = \"cosine\"\n\
             network = [\"relu\"]\nquantization = {{ bits = 8 }}\n\
             input = {{ zero_pixel = 0, scale = 1.0 }}\n{errors}"
        );
        Recipe::from_toml(&text).map(drop).map_err(|error| error.to_string())
    };
    for fine in [
        "bit_errors = { rate = 0, activations_rate = 0.01 }",
        "bit_errors = { rate = 0.01, inputs_rate = 0.01 }",
        "rerr = { rate = 0, inputs_rate = 0.5, chips = 1 }",
    ] {
        assert_eq!(with(fine), Ok(()), "{fine}");
    }
    for (wrong, field) in [
        ("bit_errors = { rate = 0 }", "bit_errors.rate"),
        ("bit_errors = { rate = 0.1, activations_rate = -0.1 }", "bit_errors.activations_rate"),
        ("bit_errors = { rate = 0.1, inputs_rate = nan }", "bit_errors.inputs_rate"),
        ("bit_errors = { rate = 0, inputs_rate = 0.1, pattern = \"fixed\" }", "bit_errors.rate"),
        ("rerr = { rate = 0.1, activations_rate = 0.6, chips = 1 }", "rerr.activations_rate"),
        ("rerr = { rate = 0, chips = 1 }", "rerr.rate"),
    ] {
        let message = with(wrong).expect_err("out of range");
        assert!(message.contains(&format!("`{field}`")), "{wrong}: {message}");
    }
}

#[test]
fn persistent_errors_are_the_same_in_every_image() {
    let quantization = Quantization { scale: 1.0, zero_point: 0 };
    let stored = vec![None, Some(quantization), None];
    let errors =
        DataErrors { faults: DataFaults::Persistent, ..errors(0.02, 0.02, stored.clone()) };
    // Images of 400 pixels and values of 100 elements.
    let pixels: Vec<u8> = (0..=255).cycle().take(40 * 400).collect();
    let read = errors.batch_pixels(0, &pixels);
    let flipped: Vec<u8> = pixels.iter().zip(&read).map(|(a, b)| a ^ b).collect();
    assert!(flipped[..400].iter().any(|&bits| bits != 0));
    assert!(flipped.chunks(400).all(|image| *image == flipped[..400]), "in every chunk");
    let made = vec![3.0; 20 * 100];
    let [mut first, mut second] = [Vec::new(), Vec::new()];
    errors.read_back(ValueId(1), 0, &made, &mut first);
    errors.read_back(ValueId(1), 1, &made, &mut second);
    assert_eq!(first, second);
    assert!(first.iter().any(|&x| x != 3.0));
    assert!(first.chunks(100).all(|image| *image == first[..100]));
    let next = DataErrors { index: 4, ..errors };
    assert_ne!(next.batch_pixels(0, &pixels), read, "another step has other cells");
}
