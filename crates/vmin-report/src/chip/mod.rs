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

/// Width of a picture in SVG units.
const WIDTH: f64 = 960.0;
const FONT: &str = "system-ui, sans-serif";
const INK: &str = "#334155";
const FAINT: &str = "#64748b";
const GRID: &str = "#e2e8f0";
const BLUE: &str = "#2563eb";
const ORANGE: &str = "#ea580c";

/// A picture from its height and its elements.
fn picture(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"{FONT}\" role=\"img\">\n<rect width=\"{WIDTH}\" \
         height=\"{height}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
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
    self::picture(top, &body)
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
fn text(x: f64, y: f64, size: u32, color: &str, anchor: &str, words: &str) -> String {
    let words = escape(words);
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{color}\" \
         text-anchor=\"{anchor}\">{words}</text>\n"
    )
}

fn escape(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}

/// A title, cut where it would leave the picture, and a line below it.
fn heading(title: &str, below: &str) -> String {
    const LETTERS_MAX: usize = 90;
    let cut = title.chars().count() > LETTERS_MAX;
    let mut title: String = title.chars().take(LETTERS_MAX).collect();
    if cut {
        title.push('…');
    }
    text(24.0, 32.0, 18, INK, "start", &title) + &text(24.0, 54.0, 13, FAINT, "start", below)
}
