//! Strips of small images below each other, as SVG: a page holds no other files.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::colors::{INK, hex};
use crate::html::escape;
use crate::plot::responsive;

/// A strip of images of one shape.
#[derive(Clone, Debug)]
pub struct Strip<'a> {
    /// What they are.
    pub label: String,
    /// Pixels of each, `[height, width, channels]`.
    pub images: &'a [Vec<u8>],
}

/// Units of the label before each strip, and of the gap between images.
const LABEL: usize = 70;
const GAP: usize = 8;
/// Units of an image's width.
const SIDE: usize = 112;
/// Most coloured cells of a picture: a page of some megabytes.
const CELLS_MAX: usize = 60_000;

/// The strips as one picture; none without an image. Strips beyond a size that browsers bear are left away, the
/// first ones last.
pub(crate) fn strips(
    [height, width, channels]: [usize; 3],
    strips: &[Strip<'_>],
) -> Option<String> {
    let across = strips.iter().map(|strip| strip.images.len()).max().filter(|&count| count > 0)?;
    let across = across.min((CELLS_MAX / (height * width * strips.len()).max(1)).max(1));
    let down = SIDE * height / width.max(1);
    let (total_width, row) = (LABEL + across * (SIDE + GAP), down + GAP);
    let total_height = strips.len() * row + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total_width} {total_height}\" width=\"{total_width}\" \
         height=\"{total_height}\" font-family=\"system-ui, sans-serif\" shape-rendering=\"crispEdges\">\n"
    );
    for (number, strip) in strips.iter().enumerate() {
        let top = GAP + number * row;
        let _ = writeln!(
            svg,
            "<text x=\"4\" y=\"{}\" font-size=\"13\" fill=\"{}\">{}</text>",
            top + down / 2,
            hex(INK),
            escape(&strip.label)
        );
        for (index, image) in strip.images.iter().take(across).enumerate() {
            let left = LABEL + index * (SIDE + GAP);
            let scale = SIDE as f64 / width as f64;
            let _ = writeln!(svg, "<g transform=\"translate({left} {top}) scale({scale})\">");
            for (color, path) in paths(image, width, channels) {
                // With its alpha, no colour is one of the page's, which a dark screen changes.
                let _ = writeln!(svg, "<path fill=\"#{color:06x}ff\" d=\"{path}\"/>");
            }
            svg.push_str("</g>\n");
        }
    }
    svg.push_str("</svg>\n");
    let names: Vec<&str> = strips.iter().map(|strip| strip.label.as_str()).collect();
    Some(responsive(&svg, total_width as u32, &format!("images: {}", names.join(", "))))
}

/// Runs of equal pixels along the rows, by their colour.
fn paths(image: &[u8], width: usize, channels: usize) -> BTreeMap<u32, String> {
    let color = |pixel: &[u8]| match pixel {
        [red, green, blue, ..] => u32::from_be_bytes([0, *red, *green, *blue]),
        [grey, ..] => u32::from_be_bytes([0, *grey, *grey, *grey]),
        [] => 0,
    };
    let mut paths: BTreeMap<u32, String> = BTreeMap::new();
    for (y, row) in image.chunks(width * channels).enumerate() {
        let pixels: Vec<u32> = row.chunks(channels).map(color).collect();
        let mut x = 0;
        for run in pixels.chunk_by(|a, b| a == b) {
            let _ = write!(paths.entry(run[0]).or_default(), "M{x} {y}h{0}v1h-{0}z", run.len());
            x += run.len();
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paints the runs of all paths.
    fn painted(image: &[u8], width: usize, channels: usize) -> Vec<u32> {
        let mut pixels = vec![u32::MAX; image.len() / channels];
        for (color, path) in paths(image, width, channels) {
            for run in path.split('z').filter(|run| !run.is_empty()) {
                let numbers: Vec<usize> = run
                    .split(['M', ' ', 'h', 'v', '-'])
                    .filter_map(|part| part.parse().ok())
                    .collect();
                let [x, y, length, 1, _] = numbers[..] else { panic!("{run}") };
                pixels[y * width + x..][..length].fill(color);
            }
        }
        pixels
    }

    #[test]
    fn paths_paint_every_pixel() {
        let grey: Vec<u8> = (0..35_u8).map(|index| index / 3 % 4 * 80).collect();
        let expected: Vec<u32> = grey.iter().map(|&g| u32::from(g) * 0x01_01_01).collect();
        assert_eq!(painted(&grey, 7, 1), expected);
        let color: Vec<u8> = (0..36_u8).map(|index| index / 5 * 30).collect();
        let expected: Vec<u32> = color
            .chunks(3)
            .map(|c| u32::from(c[0]) << 16 | u32::from(c[1]) << 8 | u32::from(c[2]))
            .collect();
        assert_eq!(painted(&color, 4, 3), expected);
    }

    #[test]
    fn a_picture_has_every_strip_and_none_without_images() {
        let images = [vec![0; 6], vec![255; 6]];
        let strip = |label: &str| Strip { label: label.to_owned(), images: &images };
        let svg = strips([2, 3, 1], &[strip("clean"), strip("<850 mV>")]).expect("images");
        assert_eq!(svg.matches("<g ").count(), 4);
        assert!(svg.contains("&lt;850 mV&gt;") && svg.contains("#ffffffff"));
        assert_eq!(strips([2, 3, 1], &[]), None);
    }
}
