//! Patches on a linear victim, whose worst patch is found by trying all places.

use super::{Area, Moves, Patch, patch, random_patch};
use crate::image::tests::Linear;
use crate::image::{Images, Objective};
use crate::random::Stream;

const SHAPE: [usize; 3] = [7, 6, 2];
const SIZE: usize = 7 * 6 * 2;
const AREA: Area = Area { side: 2, centre: 2 };

fn settings(moves: Moves, restarts: u32) -> Patch {
    let (objective, steps, step, stride) = (Objective::CrossEntropy, 30, 0.2, 1);
    Patch { area: AREA, objective, steps, step, moves, stride, restarts, seed: 3 }
}

fn images() -> Vec<f32> {
    let mut stream = Stream::new(5, &[]);
    (0..6 * SIZE).map(|_| stream.unit() as f32).collect()
}

/// The lowest logit of class 0 that a patch reaches, at the best of all places.
fn lowest(victim: &Linear, image: &[f32]) -> f64 {
    let logits = AREA.places([SHAPE[0], SHAPE[1]]).into_iter().map(|[row, col]| {
        let mut image = image.to_vec();
        for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for channel in 0..2 {
                let at = ((row + y) * SHAPE[1] + col + x) * 2 + channel;
                image[at] = if victim.weights[at] > 0.0 { 0.0 } else { 1.0 };
            }
        }
        victim.logit(&image)
    });
    logits.fold(f64::MAX, f64::min)
}

#[test]
fn places_leave_the_centre_free() {
    // Rows 2 and 3 and columns 2 and 3 of 7 x 6 pixels are the box.
    let places = AREA.places([7, 6]);
    let all = (0..6).flat_map(|row| (0..5).map(move |col| [row, col]));
    let free = all.filter(|[row, col]| !((1..4).contains(row) && (1..4).contains(col)));
    assert_eq!(places, free.collect::<Vec<_>>());
    assert_eq!(Area { side: 3, centre: 0 }.places([4, 3]), [[0, 0], [1, 0]]);
    assert!(Area { side: 5, centre: 0 }.places([4, 9]).is_empty());
    assert!(Area { side: 0, centre: 0 }.places([4, 9]).is_empty());
}

#[test]
fn moves_find_a_better_place_and_only_a_patch_changes() {
    let values = images();
    let images = Images { values: &values, labels: &[0; 6], shape: SHAPE, first: 0 };
    let mut reached = Vec::new();
    // Pixels that follow their derivatives tie a patch to its place, so some runs move it alone.
    for (moves, restarts, step) in [
        (Moves::None, 1, 0.0),
        (Moves::Random, 1, 0.0),
        (Moves::Full, 1, 0.0),
        (Moves::Full, 12, 0.2),
    ] {
        let mut victim = Linear::new(2, SIZE);
        let settings = Patch { step, ..settings(moves, restarts) };
        let Ok(found) = patch(&images, &settings, &mut victim);
        assert_eq!(found.queries, victim.asked);
        let pairs = values.chunks(SIZE).zip(found.values.chunks(SIZE));
        let logits = pairs.map(|(image, attacked)| {
            let changed: Vec<[usize; 2]> = (0..SIZE / 2)
                .filter(|&pixel| image[2 * pixel..][..2] != attacked[2 * pixel..][..2])
                .map(|pixel| [pixel / SHAPE[1], pixel % SHAPE[1]])
                .collect();
            let place = [0, 1].map(|axis| changed.iter().map(|at| at[axis]).min().expect("some"));
            let covers = |at: &[usize; 2]| (0..2).all(|axis| at[axis] < place[axis] + 2);
            assert!(changed.iter().all(covers), "{changed:?}");
            let fits = AREA.places([SHAPE[0], SHAPE[1]]).into_iter().any(|[row, col]| {
                let inside = |at: &[usize; 2]| {
                    (row..row + 2).contains(&at[0]) && (col..col + 2).contains(&at[1])
                };
                changed.iter().all(inside)
            });
            assert!(fits, "{changed:?}");
            assert!(victim.logit(attacked) >= lowest(&victim, image) - 1e-5);
            victim.logit(attacked)
        });
        reached.push(logits.collect::<Vec<_>>());
    }
    let victim = Linear::new(2, SIZE);
    let mut lower = [0; 2];
    for (image, values) in values.chunks(SIZE).enumerate() {
        let [stays, random, full, many] = [0, 1, 2, 3].map(|run: usize| reached[run][image]);
        assert!(full <= stays && random <= stays, "{stays} {random} {full}");
        lower[0] += usize::from(random < stays);
        lower[1] += usize::from(full < stays);
        assert!((many - lowest(&victim, values)).abs() < 1e-4, "{many}");
    }
    // A patch may start at the best place around.
    assert!(lower.iter().all(|&images| images >= 4), "{lower:?}");
}

#[test]
fn random_pixels_do_some_harm_without_gradients() {
    let values = images();
    let images = Images { values: &values, labels: &[0; 6], shape: SHAPE, first: 0 };
    let mut victim = Linear::new(2, SIZE);
    let long = Patch { steps: 300, ..settings(Moves::Random, 1) };
    let Ok(found) = random_patch(&images, &long, &mut victim);
    assert_eq!((found.queries, victim.asked), (600, 600));
    for (image, attacked) in values.chunks(SIZE).zip(found.values.chunks(SIZE)) {
        let all = victim.logit(image) - lowest(&victim, image);
        let share = (victim.logit(image) - victim.logit(attacked)) / all;
        assert!(share > 0.5 && share <= 1.0, "{share}");
    }
}

#[test]
fn a_patch_without_a_place_changes_nothing() {
    let values = images();
    let images = Images { values: &values, labels: &[0; 6], shape: SHAPE, first: 0 };
    let area = Area { side: 2, centre: 6 };
    let settings = Patch { area, ..settings(Moves::Full, 1) };
    let Ok(found) = patch(&images, &settings, &mut Linear::new(2, SIZE));
    assert_eq!((found.values, found.queries), (values, 0));
}
