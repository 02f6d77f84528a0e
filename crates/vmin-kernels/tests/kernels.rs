//! Every kernel against three loops.

use proptest::prelude::*;
use vmin_kernels::{available, by_name};

fn three_loops(a: &[i8], stride: usize, m: usize, w: &[i8], n: usize, k: usize) -> Vec<i32> {
    let mut out = vec![0i32; m * n];
    for i in 0..m {
        for j in 0..n {
            for l in 0..k {
                let product = i32::from(a[i * stride + l]) * i32::from(w[j * k + l]);
                out[i * n + j] = out[i * n + j].wrapping_add(product);
            }
        }
    }
    out
}

fn check(a: &[i8], stride: usize, m: usize, w: &[i8], n: usize, k: usize) {
    let expected = three_loops(a, stride, m, w, n, k);
    for kernel in available() {
        let packed = kernel.pack(w, n, k);
        let mut out = vec![i32::MAX; m * n];
        kernel.gemm(a, stride, m, &packed, &mut out);
        assert_eq!(out, expected, "{} {m}x{n}x{k}", kernel.name());
    }
}

/// A cheap sequence that visits all bytes.
fn bytes(count: usize, seed: usize) -> Vec<i8> {
    (0..count).map(|i| ((i * 167 + seed * 59 + i * i % 251) % 256) as u8 as i8).collect()
}

#[test]
fn all_small_shapes() {
    let sizes = || (1..=20).step_by(if cfg!(miri) { 8 } else { 1 });
    for m in sizes() {
        for n in sizes() {
            for k in sizes() {
                check(&bytes(m * k, n), k, m, &bytes(n * k, m), n, k);
            }
        }
    }
}

#[test]
fn extremes_do_not_saturate() {
    for (a, w) in [(-128, -128), (-128, 127), (127, -128), (127, 127)] {
        let (m, n, k) = if cfg!(miri) { (13, 17, 35) } else { (13, 17, 4099) };
        check(&vec![a; m * k], k, m, &vec![w; n * k], n, k);
    }
}

#[test]
fn rows_may_lie_apart_and_nothing_beyond_is_read() {
    let (m, n, k, stride) = (5, 3, 7, 11);
    let a = bytes((m - 1) * stride + k, 3);
    check(&a, stride, m, &bytes(n * k, 4), n, k);
}

/// 2^17 + 3 products of (-128)^2 leave int32: sums wrap, alike in all kernels.
#[test]
#[cfg_attr(miri, ignore = "too many products")]
fn sums_wrap() {
    let (m, n, k) = (2, 3, (1 << 17) + 3);
    check(&vec![-128; m * k], k, m, &vec![-128; n * k], n, k);
}

#[test]
fn empty_products() {
    for (m, n, k) in [(0, 3, 4), (3, 0, 4), (3, 4, 0)] {
        check(&bytes(m * k, 1), k, m, &bytes(n * k, 2), n, k);
    }
}

#[test]
fn names() {
    let kernels = available();
    assert_eq!(kernels.last().map(|kernel| kernel.name()), Some("generic"));
    for kernel in kernels {
        assert_eq!(
            by_name(kernel.name()).map(vmin_kernels::GemmKernel::name).ok(),
            Some(kernel.name())
        );
    }
    let error = by_name("mmx").err().expect("no such kernel");
    assert!(error.to_string().starts_with("there is no kernel `mmx`"));
    assert!(error.to_string().contains("`generic`"));
    for name in ["avx2", "avx512-vnni"] {
        if let Err(error) = by_name(name) {
            assert!(error.to_string().starts_with("this processor cannot run"));
        }
    }
}

/// Few cases under Miri, which also has no files to keep failures in.
fn config() -> ProptestConfig {
    if cfg!(miri) {
        ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() }
    } else {
        ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_products(
        (m, n, k, a, w) in (1usize..40, 1usize..70, 1usize..if cfg!(miri) { 20 } else { 300 }).prop_flat_map(|(m, n, k)| {
            let a = proptest::collection::vec(any::<i8>(), m * k);
            let w = proptest::collection::vec(any::<i8>(), n * k);
            (Just(m), Just(n), Just(k), a, w)
        })
    ) {
        check(&a, k, m, &w, n, k);
    }
}
