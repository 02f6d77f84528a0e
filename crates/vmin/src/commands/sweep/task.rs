//! `--shard auto`: the task of a job array that this process is, by the variables that its engine sets.

use vmin_diagnostic::Diagnostic;
use vmin_sweep::Shard;

use crate::Failure;

/// The variables of an engine of job arrays.
struct Engine {
    name: &'static str,
    /// The number of the task.
    index: &'static str,
    /// The number of the first task, where it is always the same.
    first: Option<u32>,
    /// Variables with the number of the first and the last task.
    ends: Option<(&'static str, &'static str)>,
    /// A variable with the number of tasks.
    count: Option<&'static str>,
}

/// Variables as each engine's manual names them. `JOB_COMPLETIONS` is set by no engine: the manifests that
/// `vmin cluster k8s` writes set it.
const ENGINES: [Engine; 4] = [
    Engine {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        first: None,
        ends: Some(("SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX")),
        count: Some("SLURM_ARRAY_TASK_COUNT"),
    },
    Engine {
        name: "Kubernetes",
        index: "JOB_COMPLETION_INDEX",
        first: Some(0),
        ends: None,
        count: Some("JOB_COMPLETIONS"),
    },
    Engine { name: "PBS", index: "PBS_ARRAY_INDEX", first: Some(1), ends: None, count: None },
    Engine {
        name: "LSF",
        index: "LSB_JOBINDEX",
        first: Some(1),
        ends: None,
        count: Some("LSB_JOBINDEX_END"),
    },
];

/// The shard of this task among so many, or among as many as its array has tasks; `variable` reads the environment.
///
/// # Errors
/// There is no such task, more than one, or its number is none of a shard.
pub(super) fn shard(
    of: Option<u32>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Shard, Failure> {
    // LSF sets 0 outside of arrays.
    let is_set = |engine: &&Engine| {
        variable(engine.index).is_some_and(|index| engine.name != "LSF" || index != "0")
    };
    let found: Vec<&Engine> = ENGINES.iter().filter(is_set).collect();
    let [engine] = found[..] else {
        let names: Vec<&str> = found.iter().map(|engine| engine.index).collect();
        let looked: Vec<&str> = ENGINES.iter().map(|engine| engine.index).collect();
        return Err(match names[..] {
            [] => problem("`--shard auto` finds no task of a job array in the environment")
                .allowed(format!("expected one of {}", looked.join(", ")))
                .hint("name the shard: `--shard 3/16`"),
            [..] => problem(&format!("`--shard auto` finds two engines: {}", names.join(" and ")))
                .hint("name the shard: `--shard 3/16`"),
        }
        .into());
    };
    let number = |name: &str| -> Result<u32, Failure> {
        let Some(text) = variable(name) else {
            return Err(problem(&format!("`--shard auto`: {} lacks {name}", engine.name))
                .hint("name the number of shards: `--shard auto/16`")
                .into());
        };
        text.parse().map_err(|_| {
            problem(&format!("`--shard auto`: {name} is `{text}`, not a whole number")).into()
        })
    };
    let index = number(engine.index)?;
    let (first, of) = match (of, engine.count) {
        // Tasks that are submitted again alone keep their numbers, not their count.
        (Some(of), _) => (engine.first.unwrap_or(1), of),
        (None, None) => {
            let message = format!("`--shard auto`: {} does not tell how many tasks", engine.name);
            return Err(problem(&message)
                .hint("name the number of shards: `--shard auto/16`")
                .into());
        }
        (None, Some(count)) => (first_of_all(engine, number(count)?, &number)?, number(count)?),
    };
    let shard = index.checked_sub(first).and_then(|at| Shard::new(at.checked_add(1)?, of));
    shard.ok_or_else(|| {
        let last = u64::from(first) + u64::from(of) - 1;
        problem(&format!("`--shard auto`: {} is {index}, which is no shard", engine.index))
            .allowed(format!("expected {first} to {last} for {of} shards"))
            .hint("number the tasks of the array so, or name the shard: `--shard 3/16`")
            .into()
    })
}

/// The number of the first task of an array of `count` tasks, none of which is left out.
fn first_of_all(
    engine: &Engine,
    count: u32,
    number: &dyn Fn(&str) -> Result<u32, Failure>,
) -> Result<u32, Failure> {
    let Some((first, last)) = engine.ends else { return Ok(engine.first.unwrap_or(1)) };
    let (from, to) = (number(first)?, number(last)?);
    if from <= 1
        && to.checked_sub(from).is_some_and(|steps| u64::from(steps) + 1 == u64::from(count))
    {
        return Ok(from);
    }
    let message = format!("`--shard auto`: the array has {count} tasks from {from} to {to}");
    Err(problem(&message)
        .allowed("expected tasks from 0 or 1 on without gaps")
        .hint("some tasks of an array alone: name the number of shards, `--shard auto/16`")
        .into())
}

fn problem(message: &str) -> Diagnostic {
    Diagnostic::new("shard", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(of: Option<u32>, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        match shard(of, &variable) {
            Ok(shard) => Ok(shard.to_string()),
            Err(Failure::Input(problems)) => {
                let problem = problems.iter().next().expect("a problem");
                Err(format!(
                    "{} | {} | {}",
                    problem.message,
                    problem.label,
                    problem.hints.join(" ")
                ))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn slurm<'v>(
        id: &'v str,
        min: &'v str,
        max: &'v str,
        count: &'v str,
    ) -> [(&'v str, &'v str); 4] {
        [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_COUNT", count),
        ]
    }

    #[test]
    fn every_engine_names_its_shard() {
        assert_eq!(of(None, &slurm("3", "1", "16", "16")).as_deref(), Ok("3/16"));
        assert_eq!(of(None, &slurm("0", "0", "15", "16")).as_deref(), Ok("1/16"));
        assert_eq!(of(None, &slurm("15", "0", "15", "16")).as_deref(), Ok("16/16"));
        let pod = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "4")];
        assert_eq!(of(None, &pod).as_deref(), Ok("1/4"));
        assert_eq!(of(Some(8), &pod[..1]).as_deref(), Ok("1/8"));
        assert_eq!(of(Some(8), &[("PBS_ARRAY_INDEX", "8")]).as_deref(), Ok("8/8"));
        let lsf = [("LSB_JOBINDEX", "2"), ("LSB_JOBINDEX_END", "9")];
        assert_eq!(of(None, &lsf).as_deref(), Ok("2/9"));
    }

    #[test]
    fn tasks_that_run_again_alone_keep_their_shards() {
        assert_eq!(of(Some(16), &slurm("7", "3", "7", "2")).as_deref(), Ok("7/16"));
        let alone = of(None, &slurm("7", "7", "7", "1")).expect_err("one of how many?");
        assert!(alone.contains("1 tasks from 7 to 7") && alone.contains("auto/16"), "{alone}");
        let gaps = of(None, &slurm("1", "1", "7", "2")).expect_err("gaps");
        assert!(gaps.contains("without gaps"), "{gaps}");
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let nothing = of(None, &[]).expect_err("no engine");
        for name in
            ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX", "LSB_JOBINDEX"]
        {
            assert!(nothing.contains(name), "{nothing}");
        }
        assert!(of(None, &[("LSB_JOBINDEX", "0")]).expect_err("no array").contains("no task"));
        let two = [("PBS_ARRAY_INDEX", "1"), ("JOB_COMPLETION_INDEX", "0")];
        let two = of(Some(4), &two).expect_err("two");
        assert!(two.contains("JOB_COMPLETION_INDEX and PBS_ARRAY_INDEX"), "{two}");
        let pbs = of(None, &[("PBS_ARRAY_INDEX", "1")]).expect_err("no count");
        assert!(pbs.contains("how many tasks") && pbs.contains("auto/16"), "{pbs}");
        let pod = of(None, &[("JOB_COMPLETION_INDEX", "1")]).expect_err("no count");
        assert!(pod.contains("lacks JOB_COMPLETIONS") && pod.contains("auto/16"), "{pod}");
        let beyond = of(Some(4), &[("PBS_ARRAY_INDEX", "5")]).expect_err("beyond");
        assert!(beyond.contains("expected 1 to 4 for 4 shards"), "{beyond}");
        let zero = of(Some(4), &slurm("0", "0", "3", "4")).expect_err("numbered from 0");
        assert!(zero.contains("expected 1 to 4"), "{zero}");
        let word = of(Some(4), &[("PBS_ARRAY_INDEX", "x")]).expect_err("a word");
        assert!(word.contains("not a whole number"), "{word}");
    }
}
