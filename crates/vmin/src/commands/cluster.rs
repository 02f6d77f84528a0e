//! `vmin cluster`: files with which an engine runs the shards of a sweep and merges them.
//!
//! The engines schedule, start again and spread over machines; what is written here are the few lines that each of
//! them needs, filled in from `vmin plan`. Words between `@` in the templates stand for values.

use std::sync::atomic::AtomicBool;

use vmin_diagnostic::Diagnostic;

use super::plan::{Planned, merge_list, merge_words, planned};
use super::sweep::{quoted, quoted_path, sweep_command};
use crate::args::{ClusterArgs, ClusterEngine, DealtArgs};
use crate::failure::{make_folder, say};
use crate::files::Output;
use crate::{Failure, compute, files};

/// Memory where it could not be measured, in MiB.
const MEMORY_MIB: u64 = 2048;
/// Least memory that is asked for, in MiB: engines count the program and its files too.
const MEMORY_LEAST_MIB: u64 = 512;
/// Time where it could not be measured, in minutes.
const MINUTES: u64 = 24 * 60;

/// A file of an engine, as a template.
struct Template {
    name: &'static str,
    text: &'static str,
}

macro_rules! template {
    ($name:literal) => {
        Template { name: $name, text: include_str!(concat!("../templates/cluster/", $name)) }
    };
}

/// The files of an engine, their mark, and how to start them.
struct Files {
    templates: &'static [Template],
    output: Output<'static>,
    start: &'static str,
}

const fn files_of(engine: ClusterEngine) -> Files {
    match engine {
        ClusterEngine::Slurm => Files {
            templates: &[template!("slurm-shards.sh"), template!("slurm-merge.sh")],
            output: files::SLURM,
            start: "job=$(sbatch --parsable @FOLDER@/slurm-shards.sh) && \
                    sbatch --dependency=\"afterok:$job\" @FOLDER@/slurm-merge.sh",
        },
        ClusterEngine::K8s => Files {
            templates: &[template!("k8s-shards.yaml"), template!("k8s-merge.yaml")],
            output: files::K8S,
            start: "name image and volume where they say EDIT, then kubectl apply -f @FOLDER@/k8s-shards.yaml",
        },
        ClusterEngine::Ray => Files {
            templates: &[template!("ray_sweep.py")],
            output: files::RAY,
            start: "python @FOLDER@/ray_sweep.py",
        },
        ClusterEngine::Snakemake => Files {
            templates: &[template!("Snakefile")],
            output: files::SNAKEMAKE,
            start: "snakemake --snakefile @FOLDER@/Snakefile --cores all",
        },
        ClusterEngine::Parallel => Files {
            templates: &[template!("parallel.sh")],
            output: files::PARALLEL,
            start: "sh @FOLDER@/parallel.sh",
        },
    }
}

/// Writes the files of an engine into the folder for the results.
///
/// # Errors
/// All problems of the experiment; more shards than chips; a folder that would need quotes, which some engines do
/// not read; a file of another kind in the place of one of these.
pub fn run(args: &ClusterArgs, stop: &AtomicBool) -> Result<(), Failure> {
    let dealt = &args.dealt;
    let plain = |text: &str| quoted(text) == text && !text.starts_with('-');
    let folder = dealt.out.display().to_string();
    if !plain(&folder) {
        let problem = format!("`--out {folder}` needs quotes, which not every engine reads");
        return Err(Diagnostic::new("cluster", problem)
            .allowed("expected letters, digits and any of `._/-+=@:`")
            .into());
    }
    let experiment = dealt.experiment.iter().map(|path| path.display().to_string());
    if experiment.chain(dealt.set.iter().cloned()).any(|text| text.contains(char::is_control)) {
        let problem = "the experiment or a `--set` has a line break or another control character";
        return Err(Diagnostic::new("cluster", problem).into());
    }
    let planned = compute::on_threads(dealt.compute.jobs, || planned(dealt, stop))?;
    let Files { templates, output, start } = files_of(args.engine);
    let values = values(dealt, &planned, &folder)?;
    make_folder(&dealt.out)?;
    for template in templates {
        files::check(&dealt.out.join(template.name), output)?;
    }
    for template in templates {
        let text = filled(template.text, &values);
        files::write(&dealt.out.join(template.name), text.as_bytes(), output)?;
    }
    say(&format!("start it here: {}", filled(start, &values)));
    Ok(())
}

/// The values of a template by their words.
fn values(
    args: &DealtArgs,
    planned: &Planned,
    folder: &str,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let sweep = sweep_command(args.experiment.as_deref(), &args.set);
    let sweep = sweep.trim_start_matches("vmin ").to_owned();
    let mut list = vec!["sweep".to_owned()];
    list.extend(args.experiment.iter().map(|path| path.display().to_string()));
    list.extend(args.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
    let seconds = planned.units.iter().filter_map(|unit| unit.seconds_high).reduce(f64::max);
    // Twice the estimate, and some for a slow start.
    let minutes = seconds.map_or(MINUTES, |seconds| (seconds / 30.0).ceil() as u64 + 10);
    let memory = planned.units.iter().filter_map(|unit| unit.memory_mib).max();
    let memory = memory.unwrap_or(MEMORY_MIB).max(MEMORY_LEAST_MIB);
    let merge = merge_words(args);
    let folder = python(&folder)?;
    Ok(vec![
        ("NAME", plain_name(&planned.experiment)),
        ("LABEL", label(&planned.experiment)),
        ("SHARDS", planned.shards.to_string()),
        ("THREADS", planned.threads.to_string()),
        ("MEMORY_MIB", memory.to_string()),
        ("MINUTES", minutes.to_string()),
        ("FOLDER", quoted_path(&args.out)),
        ("FOLDER_PYTHON", folder),
        ("SWEEP_LIST", python(&list)?),
        ("SWEEP_PYTHON", python(&sweep)?),
        ("SWEEP", sweep),
        ("MERGE_LIST", python(&merge_list(args))?),
        ("MERGE_PYTHON", python(&merge)?),
        ("MERGE", merge),
    ])
}

/// Texts and lists of texts are written in Python as in JSON.
fn python(value: &impl serde::Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(value).map_err(std::io::Error::from)?)
}

/// A template with its values.
fn filled(template: &str, values: &[(&'static str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    // From left to right, so that no value is taken for a word.
    while let Some(at) = rest.find('@') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let word = from[1..].split_once('@').map(|(word, _)| word);
        match word.and_then(|word| values.iter().find(|(known, _)| *known == word)) {
            Some((word, value)) => {
                text.push_str(value);
                rest = &from[word.len() + 2..];
            }
            None => {
                text.push('@');
                rest = &from[1..];
            }
        }
    }
    text + rest
}

/// The name of a job: what needs no quotes.
fn plain_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect()
}

/// The name of a job in Kubernetes: small letters, digits and, within, hyphens.
fn label(name: &str) -> String {
    let small = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = name.chars().map(small).take(50).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "sweep".to_owned() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn words_get_their_values_once_and_signs_alone_stay() {
        let values = [("A", "@B@".to_owned()), ("B", "b".to_owned())];
        assert_eq!(filled("USR1@120 @A@-@B@ @C@ a@b@B@", &values), "USR1@120 @B@-b @C@ a@bb");
    }

    #[test]
    fn names_suit_their_engines() {
        assert_eq!(plain_name("a b\"%$é.x_1"), "a-b----.x_1");
        assert_eq!(label("-My Net, 4 bits!"), "my-net--4-bits");
        assert_eq!(label("é"), "sweep");
        assert_eq!(label(&"x".repeat(90)).len(), 50);
    }

    #[test]
    fn every_template_begins_with_its_mark() {
        for &engine in ClusterEngine::value_variants() {
            let Files { templates, output, .. } = files_of(engine);
            for Template { name, text } in templates {
                assert!(text.starts_with(output.beginning()), "{name}");
            }
        }
    }
}
