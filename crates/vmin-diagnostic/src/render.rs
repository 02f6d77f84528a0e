//! Diagnostics as text for a terminal.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::{Diagnostic, Diagnostics};

/// Problems that are printed in full; the rest are only counted.
pub(crate) const SHOWN_MAX: usize = 30;

/// Problems that are told whole, as `allowed` and hints, wherever they are listed; the rest are only counted.
pub const LISTED_MAX: usize = 1000;

/// Most characters beside a caret; a longer list goes below the quotation.
const LABEL_MAX: usize = 68;

/// Most lines of one quotation.
const QUOTED_LINES_MAX: usize = 100;

/// The first 30 problems as text with file, line and a caret where there is a place, and the number
/// of the others; with ANSI colours if `color`.
#[must_use]
pub fn render(diagnostics: &Diagnostics, color: bool) -> String {
    let renderer =
        if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for (index, diagnostic) in diagnostics.iter().take(SHOWN_MAX).enumerate() {
        if index > 0 {
            text.push_str("\n\n");
        }
        let drawn = renderer.render(&[group(diagnostic)]);
        if diagnostic.source.is_none() {
            // Nothing is quoted, so the rule that would lead from the quotation is left out.
            text.push_str(&drawn.replacen("\n |\n", "\n", 1));
        } else {
            text.push_str(&drawn);
        }
    }
    match diagnostics.len().saturating_sub(SHOWN_MAX) {
        0 => {}
        1 => text.push_str("\n\nand 1 more problem"),
        more => text.push_str(&format!("\n\nand {} more problems", thousands(more as u64))),
    }
    // The quoted text has passed the renderer, which leaves these as they are.
    text.replace(|c| matches!(c, '\u{80}'..='\u{9f}'), "\u{fffd}")
}

/// `text` with its control characters as `\x1b`: a hostile name cannot steer a terminal. Line ends and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| {
        let turns_text = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns_text || c.is_control() && !matches!(c, '\n' | '\t')
    };
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            _ if !is_hidden(c) => shown.push(c),
            code @ ..=0xff => shown.push_str(&format!("\\x{code:02x}")),
            code => shown.push_str(&format!("\\u{{{code:x}}}")),
        }
    }
    shown.into()
}

/// `1234567` as `1,234,567`.
///
/// ```
/// assert_eq!([0, 999, 1_234_567].map(vmin_diagnostic::thousands), ["0", "999", "1,234,567"]);
/// ```
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text in lines of at most so many characters where it has spaces; lines that go on are indented.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> String {
    // A number stays with its unit.
    let text = text.replace(" %", "\u{a0}%").replace(" mV", "\u{a0}mV");
    let mut lines: Vec<String> = Vec::new();
    for sentence in text.split('\n') {
        let mut line = String::new();
        for word in sentence.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::replace(&mut line, format!("  {word}")));
            } else {
                let gap = if line.is_empty() { "" } else { " " };
                line += &format!("{gap}{word}");
            }
        }
        lines.push(line);
    }
    lines.join("\n").replace('\u{a0}', " ")
}

/// The lines of a text that a span touches.
struct Quoted<'t> {
    text: &'t str,
    /// Number of the first line.
    line: usize,
    /// Within the lines.
    span: Range<usize>,
}

/// Cuts the lines out, since drawing takes time with the square of the lines it is given. Of a span over too many
/// lines, the first line is quoted.
fn quoted<'t>(text: &'t str, span: &Range<usize>) -> Quoted<'t> {
    // The end of the text is the end of its last line.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let end = span.end.min(text.len());
    let start = span.start.min(end);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |length| at + length);
    let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let long = text[start..end].bytes().filter(|&byte| byte == b'\n').count() > QUOTED_LINES_MAX;
    let end = if long { line_end(start) } else { end };
    Quoted {
        text: &text[first..line_end(end)],
        line: 1 + text[..first].bytes().filter(|&byte| byte == b'\n').count(),
        span: start - first..end - first,
    }
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let mut group = Group::with_title(
        Level::ERROR.primary_title(visible(&diagnostic.message)).id(diagnostic.code),
    );
    match (&diagnostic.source, &diagnostic.span) {
        (Some(source), Some(span)) => {
            let Quoted { text, line, span } = quoted(source.text(), span);
            let mut annotation = AnnotationKind::Primary.span(span);
            let label = visible(&diagnostic.label);
            let is_long = label.chars().count() > LABEL_MAX;
            if !label.is_empty() && !is_long {
                annotation = annotation.label(label.clone());
            }
            group = group.element(
                Snippet::source(text)
                    .line_start(line)
                    .path(visible(source.name()))
                    .annotation(annotation),
            );
            if is_long {
                group = group.element(Level::NOTE.message(wrapped(&label, LABEL_MAX)));
            }
        }
        (source, _) => {
            if let Some(source) = source {
                group = group.element(Origin::path(visible(source.name())));
            }
            if !diagnostic.label.is_empty() {
                let label = wrapped(&visible(&diagnostic.label), LABEL_MAX);
                group = group.element(Level::NOTE.message(label));
            }
        }
    }
    for hint in &diagnostic.hints {
        group = group.element(Level::HELP.with_name("hint").message(visible(hint)));
    }
    group
}
