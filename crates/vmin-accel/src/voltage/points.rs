//! Points of a law: tables in the profile, or a CSV file beside it.
//!
//! ```text
//!  [clock]                                  vdd_mv,scale
//!  points = "clock.csv"      -------->      600,0.25
//!                                           1000,1
//! ```
//!
//! The path is relative to the profile. A file that was read takes the place of its name in the text
//! that the profile keeps, so that the text is complete and its digest covers the points.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use vmin_diagnostic::{Diagnostic, Source, TableReader};

use super::read::{VDD_MV_MAX, VDD_MV_MIN};
use super::scale::Scale;

const SCALE_MAX: f64 = 1e6;
const HEADER: [&str; 2] = ["vdd_mv", "scale"];

/// Places of the text that name files, and the points that belong there.
#[derive(Debug, Default)]
pub(super) struct Inlined(RefCell<Vec<(Range<usize>, String)>>);

impl Inlined {
    /// The text with points instead of names of files.
    pub(super) fn apply(self, text: &str) -> String {
        let mut places = self.0.into_inner();
        places.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut text = text.to_owned();
        for (span, points) in places {
            text.replace_range(span, &points);
        }
        text
    }
}

/// `points` of `table`, rising in voltage; every problem is reported.
pub(super) fn scale(table: &TableReader<'_>, inlined: &Inlined) -> Option<Scale> {
    let key = "points";
    if table.has_string(key) {
        return from_file(table, key, inlined);
    }
    if !table.has(key) {
        return None;
    }
    let mut points = Vec::new();
    let mut place = None;
    for reader in table.tables(key) {
        let vdd_mv = reader.number("vdd_mv", VDD_MV_MIN..=VDD_MV_MAX);
        let factor = reader.number("scale", 0.0..=SCALE_MAX);
        reader.finish();
        let (vdd_mv, factor) = (vdd_mv?, factor?);
        place = Some(vdd_mv.span.clone());
        points.push((vdd_mv.value, factor.value));
    }
    let scale = Scale::new(points);
    if let (None, Some(span)) = (&scale, place) {
        table.report_at(
            span,
            Diagnostic::new("not-rising", format!("the voltages of `{key}` do not rise"))
                .hint("list the points from the lowest voltage to the highest"),
        );
    }
    scale
}

fn from_file(table: &TableReader<'_>, key: &str, inlined: &Inlined) -> Option<Scale> {
    let name = table.string(key)?;
    let folder = Path::new(table.source().name()).parent().unwrap_or(Path::new(""));
    let file = match vmin_files::text("points", &folder.join(&name.value)) {
        Ok(file) => file,
        Err(error) => {
            let hint =
                "the path is relative to the profile; the file has the columns `vdd_mv,scale`";
            table.report_at(name.span, error.diagnostic().hint(hint));
            return None;
        }
    };
    let points = match rows(&file) {
        Ok(points) => points,
        Err(problems) => {
            for problem in problems {
                table.report(problem);
            }
            return None;
        }
    };
    let list: Vec<String> = points
        .iter()
        .map(|(vdd_mv, scale)| format!("{{ vdd_mv = {vdd_mv:?}, scale = {scale:?} }}"))
        .collect();
    inlined.0.borrow_mut().push((name.span, format!("[{}]", list.join(", "))));
    Scale::new(points)
}

/// At least one row, or one problem per row that is wrong.
fn rows(source: &Source) -> Result<Vec<(f64, f64)>, Vec<Diagnostic>> {
    let (mut points, mut problems) = (Vec::new(), Vec::<Diagnostic>::new());
    let mut header = false;
    let mut offset = 0;
    for line in source.text().split_inclusive('\n') {
        let span = offset..offset + line.trim_end().len();
        offset += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let place = |problem: Diagnostic| problem.at(source, span.clone());
        if !header {
            header = true;
            if cells != HEADER {
                let problem = Diagnostic::new("csv-header", "the first row names other columns");
                return Err(vec![place(problem).allowed("expected `vdd_mv,scale`")]);
            }
            continue;
        }
        match row(&cells) {
            Err(allowed) => problems
                .push(place(Diagnostic::new("csv-row", "a row is no point")).allowed(allowed)),
            Ok(point) => {
                if points.last().is_some_and(|&(before, _)| point.0 <= before) {
                    let problem = Diagnostic::new("not-rising", "the voltages do not rise")
                        .hint("list the points from the lowest voltage to the highest");
                    problems.push(place(problem));
                }
                points.push(point);
            }
        }
    }
    if points.is_empty() && problems.is_empty() {
        let problem = Diagnostic::new("csv-empty", "no points").within(source);
        problems.push(problem.hint("a header `vdd_mv,scale` and at least one row"));
    }
    if problems.is_empty() { Ok(points) } else { Err(problems) }
}

/// One point, or the expected format of one.
fn row(cells: &[&str]) -> Result<(f64, f64), String> {
    let [vdd_mv, scale] = cells else {
        return Err(format!("expected 2 numbers, not {} cells", cells.len()));
    };
    let number = |text: &str, low: f64, high: f64, what: &str| {
        let value = text.parse::<f64>().ok().filter(|value| (low..=high).contains(value));
        value.ok_or_else(|| format!("expected a {what} from {low} to {high}, not `{text}`"))
    };
    Ok((
        number(vdd_mv, VDD_MV_MIN, VDD_MV_MAX, "voltage in mV")?,
        number(scale, 0.0, SCALE_MAX, "factor")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{VoltageProfile, shipped};
    use super::*;

    fn profile(folder: &Path, points: &str) -> Source {
        let text = shipped::ALL.iter().find(|(name, _)| *name == "sram14").unwrap().1;
        let name = folder.join("mine.toml").display().to_string();
        Source::new(&name, &format!("{text}\n[clock]\npoints = {points}\n"))
    }

    #[test]
    fn a_file_says_what_tables_say() {
        let folder = std::env::temp_dir().join(format!("vmin-points-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let rows = "# a comment\r\nvdd_mv, scale\n\n700,0.25\n 1000 , 1\n";
        std::fs::write(folder.join("clock.csv"), rows).unwrap();
        let read = VoltageProfile::parse(&profile(&folder, "\"clock.csv\"")).unwrap();
        let tables = "[{ vdd_mv = 700.0, scale = 0.25 }, { vdd_mv = 1000.0, scale = 1.0 }]";
        let told = VoltageProfile::parse(&profile(&folder, tables)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        for vdd_mv in [650.0, 700.0, 811.0, 1000.0, 1100.0] {
            assert_eq!(read.f_max_scale(vdd_mv), told.f_max_scale(vdd_mv));
        }
        // The text is whole without the file.
        assert_eq!(read.text(), told.text());
        assert!(VoltageProfile::parse(&Source::new("copy", read.text())).is_ok());
    }

    #[test]
    fn every_bad_row_is_told_with_its_place() {
        let text = "vdd_mv,scale\n700,0.25\n600,0.2\n800\nx,1\n900,-1\n";
        let problems = rows(&Source::new("clock.csv", text)).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(rows(&Source::new("x", "scale,vdd_mv\n1,2\n")).is_err());
        assert!(rows(&Source::new("x", "vdd_mv,scale\n")).is_err());
        assert!(rows(&Source::new("x", "")).is_err());
        assert!(rows(&Source::new("x", "vdd_mv,scale\n700,NaN\n")).is_err());
    }
}
