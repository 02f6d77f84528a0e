//! Diagnostics as text for a terminal.

use std::borrow::Cow;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::{Diagnostic, Diagnostics};

/// Problems that are printed in full; the rest are only counted.
const SHOWN_MAX: usize = 30;

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
        more => text.push_str(&format!("\n\nand {} more problems", thousands(more))),
    }
    // The quoted text has passed the renderer, which leaves these as they are.
    text.replace(|c| matches!(c, '\u{80}'..='\u{9f}'), "\u{fffd}")
}

/// `text` with its control characters as visible signs: a hostile name cannot steer a terminal.
/// Line ends and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| {
        let turns_text = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns_text || c.is_control() && !matches!(c, '\n' | '\t')
    };
    if !text.contains(is_hidden) {
        return text.into();
    }
    let sign = |c: char| match c {
        '\0'..='\u{1f}' => {
            char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        '\u{7f}' => '␡',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(|c| if is_hidden(c) { sign(c) } else { c }).collect()
}

/// `1234567` as `1,234,567`.
fn thousands(number: usize) -> String {
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

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let mut group = Group::with_title(
        Level::ERROR.primary_title(visible(&diagnostic.message)).id(diagnostic.code),
    );
    match (&diagnostic.source, &diagnostic.span) {
        (Some(source), Some(span)) => {
            let text = source.text();
            let end = span.end.min(text.len());
            let start = span.start.min(end);
            let mut annotation = AnnotationKind::Primary.span(start..end);
            if !diagnostic.label.is_empty() {
                annotation = annotation.label(visible(&diagnostic.label));
            }
            group = group
                .element(Snippet::source(text).path(visible(source.name())).annotation(annotation));
        }
        (source, _) => {
            if let Some(source) = source {
                group = group.element(Origin::path(visible(source.name())));
            }
            if !diagnostic.label.is_empty() {
                group = group.element(Level::NOTE.message(visible(&diagnostic.label)));
            }
        }
    }
    for hint in &diagnostic.hints {
        group = group.element(Level::HELP.with_name("hint").message(visible(hint)));
    }
    group
}
