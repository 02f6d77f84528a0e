//! Diagnostics as text for a terminal.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::{Diagnostic, Diagnostics};

/// The problems as text with file, line and a caret where there is a place; with ANSI colours if
/// `color`.
#[must_use]
pub fn render(diagnostics: &Diagnostics, color: bool) -> String {
    let renderer =
        if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
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
    text
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let mut group =
        Group::with_title(Level::ERROR.primary_title(&diagnostic.message).id(diagnostic.code));
    match (&diagnostic.source, &diagnostic.span) {
        (Some(source), Some(span)) => {
            let text = source.text();
            let end = span.end.min(text.len());
            let start = span.start.min(end);
            let mut annotation = AnnotationKind::Primary.span(start..end);
            if !diagnostic.label.is_empty() {
                annotation = annotation.label(&diagnostic.label);
            }
            group = group.element(Snippet::source(text).path(source.name()).annotation(annotation));
        }
        (source, _) => {
            if let Some(source) = source {
                group = group.element(Origin::path(source.name()));
            }
            if !diagnostic.label.is_empty() {
                group = group.element(Level::NOTE.message(&diagnostic.label));
            }
        }
    }
    for hint in &diagnostic.hints {
        group = group.element(Level::HELP.with_name("hint").message(hint));
    }
    group
}
