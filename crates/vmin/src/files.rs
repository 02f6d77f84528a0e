//! Files that options name: which an output may replace, and patterns for several inputs.
//!
//! One rule for every command: an output replaces what an earlier run of the same command wrote, which its mark
//! tells; any other file is kept.
//!
//! ```text
//!  page             <meta name="generator" content="vmin COMMAND"> in its head
//!  picture          <!-- vmin COMMAND --> at its end
//!  Parquet table    the key `made_by` of its metadata, at its end
//!  archive          the comment of the zip file, at its end
//!  network          the key `made_by` of its metadata, at its start
//!  other text       its first line or its first key
//! ```
//!
//! A chip file begins with `VMINCHIP`, and commands that write chips replace each other's: a chip has exactly one
//! file, which leaves no place for a mark.
//!
//! Numpy's arrays have no place for a mark, and others write 0/1 maps and SCALE-Sim's reports too: only the same
//! bytes replace these.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use vmin_diagnostic::Diagnostic;
use vmin_files::write_whole;

use crate::Failure;
use crate::failure::{say, unwritable};

/// What a file is, as far as marks tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output<'b> {
    what: &'static str,
    /// The command that writes it, without `vmin`.
    by: &'b str,
    begins: &'static str,
    /// What stands before and after the command in the file; nothing where only one command writes such files.
    around: [&'static str; 2],
}

impl<'b> Output<'b> {
    pub(crate) const fn page(by: &'b str) -> Self {
        let around = ["<meta name=\"generator\" content=\"vmin ", "\">"];
        Self { what: "page", by, begins: "<!doctype html>\n", around }
    }

    pub(crate) const fn picture(by: &'b str) -> Self {
        Self { what: "picture", by, begins: "<svg ", around: ["<!-- vmin ", " -->\n"] }
    }

    pub(crate) const fn parquet(by: &'b str) -> Self {
        Self { what: "table", by, begins: "PAR1", around: ["vmin ", "\0"] }
    }

    pub(crate) const fn network(by: &'b str) -> Self {
        let around = ["{\"__metadata__\":{\"made_by\":\"vmin ", "\","];
        Self { what: "network", by, begins: "", around }
    }

    pub(crate) const fn archive(by: &'b str) -> Self {
        Self { what: "archive of images", by, begins: "PK", around: ["vmin ", "\n"] }
    }

    /// The mark of the command, at the end of the file.
    pub(crate) fn mark(&self) -> String {
        let [before, after] = self.around;
        format!("{before}{}{after}", self.by)
    }

    const fn alone(what: &'static str, by: &'b str, begins: &'static str) -> Self {
        Self { what, by, begins, around: ["", ""] }
    }

    /// What holds these bytes, the first and last of a file.
    fn of(ends: &'b str) -> Option<Self> {
        KINDS.into_iter().find_map(|kind| {
            let Self { by, begins, around: [before, after], .. } = kind;
            let marked = || Some(ends.rsplit_once(before)?.1.split_once(after)?.0);
            let by = if before.is_empty() { Some(by) } else { marked() };
            by.filter(|_| ends.starts_with(begins)).map(|by| Self { by, ..kind })
        })
    }

    /// The first bytes of such a file.
    #[cfg(test)]
    pub(crate) const fn beginning(&self) -> &'static str {
        self.begins
    }

    /// A text with its mark as first line.
    pub(crate) fn headed(&self, text: &str) -> String {
        format!("{}{text}", self.begins)
    }

    fn words(&self) -> String {
        format!("the {} of `vmin {}`", self.what, self.by)
    }
}

pub(crate) const ENERGIES: Output<'_> =
    Output::alone("energy reference table", "energy", "# vmin energy --export-ert\n");
pub(crate) const AREAS: Output<'_> =
    Output::alone("area reference table", "energy", "# vmin energy --export-art\n");
pub(crate) const PREDICTIONS: Output<'_> =
    Output::alone("predictions", "eval", "image,label,prediction\n");
pub(crate) const PREDICTIONS_OF_CHIPS: Output<'_> =
    Output::alone("predictions", "eval", "chip,image,label,prediction\n");
pub(crate) const FITTED: Output<'_> =
    Output::alone("profile", "chip fit", "# Population fitted to ");
pub(crate) const CELL_LIST: Output<'_> =
    Output::alone("list", "chip export", "# vmin list of faulty cells");
pub(crate) const RESULTS: Output<'_> =
    Output::alone("results", "sweep", "{\n  \"results_version\"");
pub(crate) const RESULT_ROWS: Output<'_> =
    Output::alone("table", "sweep", "vdd_mv,cell_fault_rate,");
pub(crate) const REMEDY_ROWS: Output<'_> =
    Output::alone("table", "sweep", "name,protection,model,");
pub(crate) const MANIFEST: Output<'_> =
    Output::alone("manifest", "sweep", "{\n  \"manifest_version\"");
pub(crate) const VMIN_ANSWER: Output<'_> =
    Output::alone("answer", "vmin", "{\n  \"command\": \"vmin\",");
pub(crate) const YIELD_ANSWER: Output<'_> =
    Output::alone("answer", "yield", "{\n  \"command\": \"yield\",");
pub(crate) const SENSITIVITY_ANSWER: Output<'_> =
    Output::alone("answer", "sensitivity", "{\n  \"command\": \"sensitivity\",");
pub(crate) const ASSIGN_ANSWER: Output<'_> =
    Output::alone("answer", "assign", "{\n  \"command\": \"assign\",");
pub(crate) const ASSIGNED: Output<'_> = Output::alone("experiment", "assign", "# vmin assign\n");
pub(crate) const EXPLORATION: Output<'_> =
    Output::alone("results", "explore", "{\n  \"exploration_version\"");
pub(crate) const EXPLORATION_ROWS: Output<'_> =
    Output::alone("table", "explore", "index,rows,columns,dataflow,");
pub(crate) const FLIPS: Output<'_> = Output::alone("list", "attack", "layer,tensor,weight,bit,");
pub(crate) const METRICS: Output<'_> = Output::alone("metrics", "train", "{\"epoch\":");
pub(crate) const GREY_IMAGE: Output<'_> =
    Output::alone("grey image", "noise", "P5\n# vmin noise\n");
pub(crate) const COLOR_IMAGE: Output<'_> =
    Output::alone("color image", "noise", "P6\n# vmin noise\n");
pub(crate) const SLURM: Output<'_> =
    Output::alone("script", "cluster slurm", "#!/bin/bash\n# Written by `vmin cluster slurm`");
pub(crate) const K8S: Output<'_> =
    Output::alone("manifest", "cluster k8s", "# Written by `vmin cluster k8s`");
pub(crate) const RAY: Output<'_> = Output::alone(
    "script",
    "cluster ray",
    "#!/usr/bin/env python3\n# Written by `vmin cluster ray`",
);
pub(crate) const SNAKEMAKE: Output<'_> =
    Output::alone("Snakefile", "cluster snakemake", "# Written by `vmin cluster snakemake`");
pub(crate) const PARALLEL: Output<'_> =
    Output::alone("script", "cluster parallel", "#!/bin/sh\n# Written by `vmin cluster parallel`");
pub(crate) const CHIP: Output<'_> = Output::alone("chip", "chip", "VMINCHIP");
/// What is replaced only by the same bytes.
pub(crate) const NOTHING: Output<'_> = Output::alone("", "", "");

/// All kinds of outputs that a mark tells.
const KINDS: [Output<'_>; 32] = [
    Output::page(""),
    Output::picture(""),
    Output::parquet(""),
    Output::network(""),
    Output::archive(""),
    ENERGIES,
    AREAS,
    PREDICTIONS,
    PREDICTIONS_OF_CHIPS,
    FITTED,
    CELL_LIST,
    RESULTS,
    RESULT_ROWS,
    REMEDY_ROWS,
    MANIFEST,
    VMIN_ANSWER,
    YIELD_ANSWER,
    SENSITIVITY_ANSWER,
    ASSIGN_ANSWER,
    ASSIGNED,
    EXPLORATION,
    EXPLORATION_ROWS,
    FLIPS,
    METRICS,
    GREY_IMAGE,
    COLOR_IMAGE,
    SLURM,
    K8S,
    RAY,
    SNAKEMAKE,
    PARALLEL,
    CHIP,
];

/// Bytes at either end of a file that tell what it is.
const END_BYTES: u64 = 1 << 10;

/// The two ends of a file as text.
fn ends(mut file: impl Read + Seek) -> std::io::Result<String> {
    let mut ends = Vec::new();
    let length = file.seek(SeekFrom::End(0))?;
    for start in [0, length.saturating_sub(END_BYTES)] {
        file.seek(SeekFrom::Start(start))?;
        file.by_ref().take(END_BYTES).read_to_end(&mut ends)?;
    }
    Ok(String::from_utf8_lossy(&ends).into_owned())
}

/// Refuses a path where a file lies that `output` does not replace.
pub(crate) fn check(path: &Path, output: Output<'_>) -> Result<(), Failure> {
    if !path.is_file() {
        return Ok(());
    }
    let there = vmin_files::open_seekable(path).and_then(ends).unwrap_or_else(|_| "?".to_owned());
    let is = Output::of(&there);
    let same = is.is_some_and(|is| (is.what, is.by) == (output.what, output.by));
    if same || there.is_empty() { Ok(()) } else { Err(kept_as(path, is, Some(output))) }
}

/// [`check`] of the files that a command writes into a folder, before it starts to work.
pub(crate) fn check_folder(folder: &Path, files: &[(&str, Output<'_>)]) -> Result<(), Failure> {
    files.iter().try_for_each(|(name, output)| check(&folder.join(name), *output))
}

/// The problem of an output whose path another file has.
pub(crate) fn kept(path: &Path) -> Failure {
    kept_as(path, None, None)
}

fn kept_as(path: &Path, is: Option<Output<'_>>, output: Option<Output<'_>>) -> Failure {
    let what = is.map_or_else(|| "another file".to_owned(), |is| is.words());
    let message = format!("`{}` is {what}, which is kept", path.display());
    let problem = Diagnostic::new("file-exists", message);
    match output.filter(|output| *output != NOTHING) {
        Some(output) => problem.allowed(format!("expected no file, or {}", output.words())),
        None => problem,
    }
    .hint("choose another name, or remove the file first")
    .into()
}

/// Writes a file, or replaces what the same command wrote, and says so.
pub(crate) fn write(path: &Path, bytes: &[u8], output: Output<'_>) -> Result<(), Failure> {
    put(path, bytes, output)?;
    say(&format!("wrote `{}`", path.display()));
    Ok(())
}

/// [`write()`] of a picture, to which it adds the mark of the command.
pub(crate) fn write_picture(path: &Path, svg: &str, by: &str) -> Result<(), Failure> {
    let output = Output::picture(by);
    let [before, after] = output.around;
    write(path, format!("{svg}{before}{by}{after}").as_bytes(), output)
}

/// [`write()`] without a word.
pub(crate) fn put(path: &Path, bytes: &[u8], output: Output<'_>) -> Result<(), Failure> {
    let same = || {
        let there = vmin_files::contents(path, bytes.len() as u64);
        there.is_ok_and(|there| there.is_some_and(|there| there == bytes))
    };
    check(path, output).or_else(|kept| if same() { Ok(()) } else { Err(kept) })?;
    write_whole(path, bytes).map_err(|error| unwritable(path, &error))
}

/// Name of the array of a tensor: its number, and what of its name is safe in a file's.
pub(crate) fn of_tensor(index: usize, name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).take(80).collect();
    format!("{index:03}_{name}.npy")
}

/// The files of names and patterns such as `lot/*.chip`, those of a pattern sorted.
///
/// # Errors
/// A pattern that no file matches, or that is none.
pub(crate) fn expanded(names: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for name in names {
        match vmin_sweep::names::matching(Path::new(""), name) {
            None => files.push(name.clone()),
            Some(found) => files.extend(found.map_err(Failure::from)?),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn an_output_replaces_its_like_and_keeps_any_other_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let outputs: [(&[u8], Output<'_>); 5] = [
            (b"<svg 1/>\n<!-- vmin chip fit -->\n", Output::picture("chip fit")),
            (b"<svg 1/>\n<!-- vmin chip draw -->\n", Output::picture("chip draw")),
            (b"<svg 1/>\n", NOTHING),
            (b"image,label,prediction\n", PREDICTIONS),
            (b"0,1\n", NOTHING),
        ];
        for (bytes, output) in outputs {
            std::fs::write(&path, b"").expect("written");
            assert!(put(&path, bytes, output).is_ok(), "an empty file");
            assert!(put(&path, bytes, output).is_ok(), "the same");
            for (other, _) in outputs.iter().filter(|(other, _)| *other != bytes) {
                std::fs::write(&path, other).expect("written");
                assert!(put(&path, bytes, output).is_err(), "another kind");
                assert_eq!(&std::fs::read(&path).expect("there"), other);
            }
        }
    }

    #[test]
    fn a_mark_is_found_at_the_ends_of_long_files() {
        let svg = format!("<svg >{}</svg>\n<!-- vmin cycles -->\n", " ".repeat(1 << 20));
        let page = format!(
            "<!doctype html>\n<meta name=\"generator\" content=\"vmin sweep\">{svg}<!-- vmin energy"
        );
        for (text, output) in [(&svg, Output::picture("cycles")), (&page, Output::page("sweep"))] {
            let ends = ends(Cursor::new(text)).expect("read");
            assert!(ends.len() <= 2 << 10);
            assert_eq!(Output::of(&ends), Some(output));
        }
        let table = crate::columns::parquet(&[[1]], &[], "energy").expect("a table");
        assert_eq!(
            Output::of(&ends(Cursor::new(table)).expect("read")),
            Some(Output::parquet("energy"))
        );
    }
}
