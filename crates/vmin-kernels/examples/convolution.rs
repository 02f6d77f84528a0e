//! A 1 x 1 convolution of four pixels with three input and two output channels, from weights to codes.
#![expect(clippy::print_stdout, reason = "an example")]

use vmin_kernels::{Factor, Requantization, Rounds, best};

fn main() {
    let kernel = best();
    // Two output channels of three weights each, packed once for this kernel.
    let packed = kernel.pack(&[64, -32, 16, 1, 2, 3], 2, 3);
    // Four pixels of three activations.
    let pixels = [10, 20, 30, -128, 127, 0, 5, 5, 5, 1, 0, -1];
    let mut sums = [0; 8];
    kernel.gemm(&pixels, 3, 4, &packed, &mut sums);

    // code = clamp((sum + bias) / 64 + 3); a factor is multiplier * 2^(shift - 31).
    let factor = Factor { multiplier: 1 << 30, shift: -5 };
    let rule = Requantization::new(Rounds::Twice, &[factor; 2], 3, -128, 127);
    let biases = [0, 640];
    let mut codes = [0; 8];
    kernel.requantize(&sums, &biases, &rule, &mut codes);
    println!("{}: sums {sums:?}, codes {codes:?}", kernel.name());
    assert_eq!(codes, [11, 15, -128, 15, 7, 13, 4, 13]);
}
