//! Pictures of chips and of their fits, each one SVG text.
//!
//! [`map()`] draws the positions of the faults, [`columns()`] and [`banks()`] their histograms beside those
//! of independent faults, [`probit()`] the rate over the voltage with a fitted curve; [`stack()`] joins
//! several pictures.

mod crowding;
mod map;
mod paired_bars;
mod probit;

pub use crowding::{banks, columns};
pub use map::map;
pub use probit::probit;

use plotters::style::RGBColor;

use crate::colors::{FAINT, INK, PAPER, hex};
use crate::html::escape;
use crate::plot::{responsive, short};

/// Width of a picture in SVG units.
const WIDTH: f64 = 960.0;

/// A picture from its height, its description and its elements.
fn picture(height: f64, description: &str, body: &str) -> String {
    let paper = hex(PAPER);
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\">\n<rect width=\"{WIDTH}\" \
         height=\"{height}\" fill=\"{paper}\"/>\n{body}</svg>\n"
    );
    responsive(&svg, WIDTH as u32, description)
}

/// Pictures of this module below each other, as one.
#[must_use]
pub fn stack(pictures: &[String]) -> String {
    let mut body = String::new();
    let mut top = 0.0;
    for picture in pictures {
        let height = height(picture);
        body.push_str(&picture.replacen("<svg ", &format!("<svg y=\"{top}\" "), 1));
        top += height;
    }
    self::picture(top, "pictures of a chip", &body)
}

/// The height a picture states in its first line.
fn height(picture: &str) -> f64 {
    picture
        .split_once("height=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or(0.0)
}

/// A line of text.
fn text(x: f64, y: f64, size: u32, color: RGBColor, anchor: &str, words: &str) -> String {
    let (words, color) = (escape(words), hex(color));
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{color}\" \
         text-anchor=\"{anchor}\">{words}</text>\n"
    )
}

/// A title, cut where it would leave the picture, and a line below it.
fn heading(title: &str, below: &str) -> String {
    const LETTERS_MAX: usize = 90;
    let title = short(title, LETTERS_MAX);
    text(24.0, 32.0, 18, INK, "start", &title) + &text(24.0, 54.0, 13, FAINT, "start", below)
}
