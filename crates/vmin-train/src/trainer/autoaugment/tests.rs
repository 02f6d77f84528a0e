use super::Operation::{
    AutoContrast, Brightness, Color, Contrast, Equalize, Invert, Posterize, Rotate, Sharpness,
    ShearY, Solarize, TranslateX, TranslateY,
};
use super::{AutoAugment, CIFAR10, Operation};
use crate::random::{Purpose, Stream};

/// One channel.
const COUNTING: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const FILL: u8 = 0;

fn after(operation: Operation, image: &[u8], shape: [usize; 3], amount: f64) -> Vec<u8> {
    let mut image = image.to_vec();
    operation.apply(&mut image, shape, FILL, amount);
    image
}

#[test]
fn moves_by_hand() {
    let shape = [3, 3, 1];
    let moved = |operation, amount| after(operation, &COUNTING, shape, amount);
    // 150/331 of 3 pixels is 1.36: one pixel.
    assert_eq!(moved(TranslateX, 1.0), [2, 3, 0, 5, 6, 0, 8, 9, 0]);
    assert_eq!(moved(TranslateX, -1.0), [0, 1, 2, 0, 4, 5, 0, 7, 8]);
    assert_eq!(moved(TranslateY, 1.0), [4, 5, 6, 7, 8, 9, 0, 0, 0]);
    assert_eq!(moved(TranslateY, -1.0), [0, 0, 0, 1, 2, 3, 4, 5, 6]);
    // Columns at 0.5, 1.5 and 2.5 pixels move by 0.15, 0.45 and 0.75: the last by one pixel.
    assert_eq!(moved(ShearY, -1.0), [1, 2, 0, 4, 5, 3, 7, 8, 6]);
    assert_eq!(moved(ShearY, 1.0), [1, 2, 6, 4, 5, 9, 7, 8, 0]);
    for operation in [ShearY, TranslateX, TranslateY, Rotate] {
        assert_eq!(moved(operation, 0.0), COUNTING, "{operation:?}");
    }
}

#[test]
fn turns_by_hand() {
    let mut image = COUNTING;
    super::geometry::rotate(&mut image, [3, 3, 1], FILL, 90.0);
    assert_eq!(image, [3, 6, 9, 2, 5, 8, 1, 4, 7]);
    super::geometry::rotate(&mut image, [3, 3, 1], FILL, -90.0);
    assert_eq!(image, COUNTING);
    // By 40 degrees the pixels around the centre each see their neighbour in clockwise direction.
    super::geometry::rotate(&mut image, [3, 3, 1], FILL, 40.0);
    assert_eq!(image, [2, 3, 6, 1, 5, 9, 4, 7, 8]);
    let turned = |amount| after(Rotate, &[9; 64], [8, 8, 1], amount);
    let filled = |image: Vec<u8>| image.iter().filter(|&&v| v == FILL).count();
    assert_eq!([filled(turned(0.1)), filled(turned(1.0))], [0, 8], "by 3 and by 30 degrees");
    let pixels = [1, 2, 3, 4, 5, 6, 7, 8];
    let mut colours = pixels;
    super::geometry::rotate(&mut colours, [2, 2, 2], FILL, 180.0);
    assert_eq!(colours, [7, 8, 5, 6, 3, 4, 1, 2], "channels stay together");
}

#[test]
fn tones_by_hand() {
    let one =
        |operation, image: &[u8], amount| after(operation, image, [1, image.len(), 1], amount);
    assert_eq!(one(Invert, &[0, 100, 255], 0.5), [255, 155, 0]);
    assert_eq!(one(AutoContrast, &[50, 100, 150], 0.5), [0, 127, 255]);
    assert_eq!(one(AutoContrast, &[50, 50], 0.5), [50, 50]);
    assert_eq!(after(AutoContrast, &[0, 9, 10, 9], [1, 2, 2], 0.0), [0, 9, 255, 9], "by channel");
    // 8 of 9 levels down from 256: 28.4.
    assert_eq!(one(Solarize, &[28, 29, 255], 8.0 / 9.0), [28, 226, 0]);
    assert_eq!(one(Solarize, &[0, 255], 0.0), [0, 255]);
    assert_eq!(one(Solarize, &[0, 255], 1.0), [255, 0]);
    // 7 of 9 levels are 3.1 of 4 bits.
    assert_eq!(one(Posterize, &[7, 8, 255], -7.0 / 9.0), [0, 8, 248]);
    assert_eq!(one(Posterize, &[1, 15, 255], 1.0), [0, 0, 240]);
    assert_eq!(one(Brightness, &[10, 200], 1.0), [19, 255]);
    assert_eq!(one(Brightness, &[10, 200], -1.0), [1, 20]);
    // Around the mean of 100.
    assert_eq!(one(Contrast, &[50, 150], 1.0), [5, 195]);
    assert_eq!(one(Contrast, &[50, 150], -1.0), [95, 105]);
    // Grey of (100, 0, 0) is 29.9: 30.
    assert_eq!(after(Color, &[100, 0, 0], [1, 1, 3], -1.0), [37, 27, 27]);
    assert_eq!(after(Color, &[100, 0, 0], [1, 1, 3], 1.0), [163, 0, 0]);
    assert_eq!(one(Color, &[10, 20], 1.0), [10, 20], "grey images have no colour");
}

#[test]
fn sharpness_by_hand() {
    let image = [0, 0, 0, 0, 130, 0, 0, 0, 0];
    // Smoothed: 5/13 of 130 is 50.
    assert_eq!(after(Sharpness, &image, [3, 3, 1], -1.0)[4], 58);
    assert_eq!(after(Sharpness, &image, [3, 3, 1], 1.0)[4], 202);
    assert_eq!(after(Sharpness, &image, [3, 3, 1], -1.0)[..4], [0; 4]);
    assert_eq!(after(Sharpness, &COUNTING, [1, 9, 1], 1.0), COUNTING, "all of it is border");
}

#[test]
fn equalize_by_hand() {
    // 510 pixels of 10, 255 of 20, 100 of 30: all but the last in 255 steps of 3.
    let mut image = vec![10; 510];
    image.extend([20; 255]);
    image.extend([30; 100]);
    let count = image.len();
    let equal = after(Equalize, &image, [1, count, 1], 0.0);
    assert_eq!([equal[0], equal[510], equal[765]], [0, 170, 255]);
    assert_eq!(after(Equalize, &COUNTING, [3, 3, 1], 0.0), COUNTING, "too few pixels for steps");
}

#[test]
fn the_policy_is_that_of_the_paper() {
    // Sums of table 7 by hand: probabilities and levels of each operation.
    let total = |wanted: Operation| {
        let all = CIFAR10.iter().flatten().filter(|(operation, ..)| *operation == wanted);
        all.fold((0, 0), |(count, tenths), (_, p, _)| (count + 1, tenths + u32::from(*p)))
    };
    for (operation, expected) in [
        (ShearY, (2, 7)),
        (TranslateX, (2, 8)),
        (TranslateY, (5, 34)),
        (Rotate, (1, 7)),
        (AutoContrast, (7, 50)),
        (Invert, (3, 2)),
        (Equalize, (9, 47)),
        (Solarize, (4, 19)),
        (Posterize, (1, 3)),
        (Contrast, (2, 8)),
        (Color, (5, 29)),
        (Brightness, (4, 23)),
        (Sharpness, (5, 28)),
    ] {
        assert_eq!(total(operation), expected, "{operation:?}");
    }
}

#[test]
fn images_change_by_the_stream_alone() {
    let shape = [8, 8, 3];
    let image: Vec<u8> = (0..192).collect();
    let apply = |seed: u64| {
        let mut stream = Stream::new(seed, Purpose::Augmentation, 0);
        let mut image = image.clone();
        AutoAugment::Cifar10.apply(&mut image, shape, 120, &mut stream);
        (image, stream.word())
    };
    assert_eq!(apply(1), apply(1));
    let changed = (0..200).filter(|&seed| apply(seed).0 != image).count();
    assert!((80..160).contains(&changed), "{changed} of 200");
    // Five numbers, whatever was drawn.
    for seed in 0..20 {
        let mut stream = Stream::new(seed, Purpose::Augmentation, 0);
        let words: Vec<u64> = (0..6).map(|_| stream.word()).collect();
        assert_eq!(apply(seed).1, words[5]);
    }
}
