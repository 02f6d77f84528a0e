//! The README: its commands are those of the program, and fit each other.

use std::process::Command;

use vmin::args::Cli;
use vmin_testkit::vmin;

/// The commands of its shell blocks, each in its words as a shell splits them.
fn commands() -> Vec<Vec<String>> {
    let readme = vmin_testkit::root().join("README.md");
    let text = std::fs::read_to_string(readme).expect("the README");
    let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split_once("```"));
    let joined: String = blocks.map(|(block, _)| block.replace("\\\n", "")).collect();
    let words = |line: &str| {
        let script = format!("vmin() {{ printf '%s\\n' \"$@\"; }}\n{line}");
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        assert!(output.status.success(), "{line}");
        let text = String::from_utf8(output.stdout).expect("text");
        std::iter::once("vmin").chain(text.lines()).map(str::to_owned).collect()
    };
    joined.lines().filter(|line| line.starts_with("vmin ")).map(words).collect()
}

#[test]
#[cfg(unix)]
fn the_commands_of_the_readme_are_those_of_the_program() {
    let commands = commands();
    assert!(commands.len() > 25, "{commands:?}");
    for command in commands {
        let words: Vec<_> = command.iter().map(Into::into).collect();
        let problem = Cli::read(&words).err().map(|error| error.render().to_string());
        assert_eq!(problem, None, "{command:?}");
    }
}

#[test]
#[cfg(unix)]
fn the_energy_of_the_readme_takes_the_accuracy_of_the_demo() {
    let vmin = vmin!();
    let demo = vmin.ok(&["init"]);
    let small = demo.replace("images = 300", "images = 10").replace("count = 30", "count = 2");
    assert_ne!(demo, small);
    vmin.write("demo.toml", small.split("[[remedy]]").next().expect("an experiment"));
    vmin.ok(&["sweep", "demo.toml"]);
    let commands = commands();
    let fits = |words: &&Vec<String>| words.contains(&"--accuracy".to_owned());
    let energy = commands.iter().find(fits).expect("a command");
    let words: Vec<&str> = energy[1..].iter().map(String::as_str).collect();
    let table = vmin.ok(&words);
    assert!(!table.contains("has no numbers"), "{table}");
}

#[test]
fn every_mechanism_is_named_where_a_user_begins() {
    let readme = std::fs::read_to_string(vmin_testkit::root().join("README.md")).expect("text");
    let template = vmin!().ok(&["init"]);
    for (kind, _) in vmin_protection::mechanisms::ALL {
        assert!(readme.contains(&format!("`{kind}`")), "README.md lacks `{kind}`");
        assert!(template.contains(kind), "the template lacks `{kind}`");
    }
}
