//! The argument `--shard`.

use vmin_sweep::Shard;

/// Which shard of a sweep a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardChoice {
    /// This one.
    One(Shard),
    /// That of the task of a job array that the process is, by the variables of its engine; of so many shards, or of
    /// as many as the array has tasks.
    OfTask(Option<u32>),
}

/// `3/16`, `auto` or `auto/16`.
pub(super) fn parse(text: &str) -> Result<ShardChoice, String> {
    let expected = "expected a shard such as `3/16`, of shards 1 to 16; `auto`, or `auto/16`";
    let choice = match text.split_once('/') {
        None if text == "auto" => Some(ShardChoice::OfTask(None)),
        Some(("auto", of)) => {
            of.parse().ok().filter(|&of: &u32| of > 0).map(|of| ShardChoice::OfTask(Some(of)))
        }
        None | Some(_) => text.parse().ok().map(ShardChoice::One),
    };
    choice.ok_or_else(|| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_named_or_left_to_the_task() {
        assert_eq!(parse("3/16"), Ok(ShardChoice::One(Shard::new(3, 16).expect("a shard"))));
        assert_eq!(parse("auto"), Ok(ShardChoice::OfTask(None)));
        assert_eq!(parse("auto/16"), Ok(ShardChoice::OfTask(Some(16))));
        for wrong in ["0/16", "17/16", "auto/0", "auto/", "auto/x", "3", "", "Auto"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
