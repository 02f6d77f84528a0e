//! Every float kernel against plain loops: the same bits.

use vmin_kernels::float::{FloatKernel, Gather, PANEL, Portable, Write, available, panels_len};

/// Numbers of many magnitudes, so that another order of a sum shows.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let number = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (f64::from(state) / f64::from(u32::MAX) - 0.5) as f32
            * [1.0, 1e-3, 40.0][state as usize % 3]
    };
    (0..count).map(number).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn all_kernels_give_the_same_bits() {
    for (rows, runs, run, n) in [
        (1, 1, 1, 1),
        (3, 1, 7, 10),
        (8, 3, 9, 16),
        (13, 3, 12, 17),
        (29, 3, 48, 33),
        (300, 2, 5, 16),
        (140, 1, 25, 40),
    ]
    .into_iter()
    .take(if cfg!(miri) { 3 } else { 7 })
    {
        let stride = run + 5;
        let at: Vec<usize> = (0..rows).map(|i| (i * 7) % 50 + i).collect();
        let values = numbers(400 + runs * stride, 1);
        let a = Gather { values: &values, at: &at, runs, stride, run };
        let panels = numbers(panels_len(a.depth(), n), 2);
        let bias = numbers(n, 3);
        let c_at: Vec<usize> = (0..rows).map(|i| (rows - 1 - i) * (n + 2)).collect();
        let before = numbers(rows * (n + 2), 4);
        let b = numbers(panels_len(rows, n), 5);
        let dw = numbers(panels_len(a.depth(), n), 6);
        for kernel in available() {
            for write in [Write::Set, Write::Add, Write::Biased(&bias)] {
                let (mut found, mut expected) = (before.clone(), before.clone());
                kernel.rows(a, &panels, n, write, &mut found, &c_at);
                Portable.rows(a, &panels, n, write, &mut expected, &c_at);
                assert_eq!(bits(&found), bits(&expected), "{} {write:?}", kernel.name());
            }
            let (mut found, mut expected) = (dw.clone(), dw.clone());
            kernel.outer(a, &b, n, &mut found);
            Portable.outer(a, &b, n, &mut expected);
            assert_eq!(bits(&found), bits(&expected), "{} {rows} {run} {n}", kernel.name());
        }
    }
}

#[test]
fn the_specification_by_hand() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0];
    // Two rows of two runs of one value each, two apart.
    let a = Gather { values: &values, at: &[0, 2], runs: 2, stride: 2, run: 1 };
    let mut panels = vec![0.0; 2 * PANEL];
    (panels[0], panels[PANEL]) = (10.0, 1.0);
    let mut c = [7.0; 4];
    Portable.rows(a, &panels, 1, Write::Biased(&[0.5]), &mut c, &[3, 1]);
    assert_eq!(c, [7.0, 35.5, 7.0, 13.5]);
    let mut b = vec![0.0; 2 * PANEL];
    (b[0], b[PANEL]) = (1.0, 10.0);
    let mut dw = vec![0.0; 2 * PANEL];
    Portable.outer(a, &b, 1, &mut dw);
    assert_eq!((dw[0], dw[PANEL]), (31.0, 53.0));
}

#[test]
#[should_panic(expected = "beyond the values")]
fn a_row_beyond_the_values_is_refused() {
    let a = Gather { values: &[0.0_f32; 9], at: &[1], runs: 2, stride: 4, run: 5 };
    available()[0].rows(a, &[0.0; 160], 1, Write::Set, &mut [0.0], &[0]);
}
