//! All problems of a file are told at once, each with its place.

use vmin_diagnostic::{Diagnostic, Diagnostics, Document, Source, visible, wrapped};

fn problems(text: &str) -> Diagnostics {
    let source = Source::new("x.toml", text);
    let document = match Document::parse(&source) {
        Ok(document) => document,
        Err(problems) => return problems,
    };
    let root = document.root();
    root.string("name");
    let array = root.table("array");
    array.integer("rows", 1..=4096);
    array.optional_number("clock_mhz", 1.0..=1e5);
    array.choice("dataflow", &[("ws", 0), ("os", 1)]);
    array.finish();
    root.optional_numbers("vdd_mv", 1.0..=2000.0);
    root.finish();
    document.finish().expect_err("the text has problems")
}

#[test]
fn every_problem_is_told_in_the_order_of_the_file() {
    let found = problems(
        "nam = 'x'\nvdd_mv = [800, nan, 1e9]\n[array]\nrows = 0\nclock_mhz = 'fast'\ndataflow = \"sw\"\n",
    );
    let codes: Vec<&str> = found.iter().map(|d| d.code).collect();
    assert_eq!(
        codes,
        [
            "unknown-key",
            "not-finite",
            "out-of-range",
            "out-of-range",
            "wrong-type",
            "unknown-word",
            "missing-key"
        ]
    );
}

#[test]
fn a_problem_is_drawn_with_file_line_caret_and_hint() {
    let text = problems("name = 'x'\n[array]\nrow = 4\nrows = 4\ndataflow = 'ws'\n").to_string();
    assert_eq!(
        text,
        "error[unknown-key]: unknown key `row` in `[array]`\n --> x.toml:3:1\n  |\n3 | row = 4\n  | ^^^ \
         expected `clock_mhz`, `dataflow` or `rows`\n  |\n  = hint: did you mean `rows`?"
    );
}

#[test]
fn all_syntax_errors_are_told() {
    assert!(problems("name = \nrows 4\n").len() >= 2);
}

#[test]
fn positions_count_characters() {
    let source = Source::new("x", "a\nµµb");
    assert_eq!(source.line_column(6), (2, 3));
    assert_eq!(source.line_column(999), (2, 4));
}

#[test]
fn many_problems_are_counted_and_the_first_printed() {
    let text: String = (0..10_000).map(|key| format!("k{key} = 1\n")).collect();
    let found = problems(&text);
    // The two that are missing stand after all unknown keys.
    assert_eq!(found.len(), 10_002);
    let rendered = found.to_string();
    assert_eq!(rendered.matches("error[unknown-key]").count(), 30);
    assert!(rendered.ends_with("\n\nand 9,972 more problems"), "{rendered}");

    let of = |count: usize| {
        let list = (0..count).map(|index| Diagnostic::new("x", format!("problem {index}")));
        Diagnostics::from_list(list.collect()).expect("at least one").to_string()
    };
    assert!(of(30).ends_with("problem 29"));
    assert!(of(31).ends_with("problem 29\n\nand 1 more problem"));
    assert!(of(1_234_597).ends_with("\n\nand 1,234,567 more problems"));
}

#[test]
fn control_characters_of_names_are_visible() {
    assert_eq!(visible("plain\n\ttext"), "plain\n\ttext");
    assert_eq!(visible("\u{1b}]0;x\u{7}\u{7f}\u{9b}\u{202e}"), r"\x1b]0;x\x07\x7f\x9b\u{202e}");
    let source = Source::new("\u{1b}[2J.toml", "a = \"\u{9b}\"");
    let diagnostic = Diagnostic::new("x", "no choice `\u{1b}[2J`")
        .at(&source, 0..1)
        .allowed("expected `\u{7}`")
        .hint("did you mean `\u{1b}`?");
    let placed = Diagnostics::from(diagnostic.clone()).to_string();
    let whole = Diagnostics::from(diagnostic.within(&source)).to_string();
    for text in [placed, whole] {
        assert_eq!(visible(&text), text);
    }
}

#[test]
fn texts_are_broken_at_spaces_and_sentences_stay_apart() {
    assert_eq!(wrapped("one two three", 7), "one two\n  three");
    assert_eq!(wrapped("one two\nthree", 7), "one two\nthree");
    // A number stays with its unit, a long word whole.
    assert_eq!(wrapped("at 900 mV twelve-letters", 8), "at\n  900 mV\n  twelve-letters");
}

#[test]
fn volts_are_told_where_millivolts_are_asked_for() {
    let source = Source::new("x.toml", "vdd_mv = 0.83\n[range_mv]\nfrom = 0.9\nsize = 0.5\n");
    let document = Document::parse(&source).expect("TOML");
    let root = document.root();
    root.number("vdd_mv", 1.0..=5000.0);
    let range = root.table("range_mv");
    range.number("from", 1.0..=5000.0);
    range.number("size", 1.0..=4.0);
    let hints: Vec<_> =
        document.finish().expect_err("volts").iter().map(|it| it.hints.clone()).collect();
    let told = |volts, mv| vec![format!("voltages are in mV: {volts} V is {mv}")];
    assert_eq!(hints, [told("0.83", "830"), told("0.9", "900"), Vec::new()]);
}
