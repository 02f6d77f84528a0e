//! The crate map and the list of dependencies in ARCHITECTURE.md say what the manifests say.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

type Names = BTreeSet<String>;

fn read(path: &str) -> String {
    let path = vmin_testkit::root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(path: &str) -> Table {
    read(path).parse().expect("a manifest")
}

fn names_of(table: &Table, key: &str) -> Names {
    table
        .get(key)
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(Table::keys)
        .cloned()
        .collect()
}

/// The crates that each crate of the workspace depends on, without dev-dependencies.
fn crates() -> BTreeMap<String, Names> {
    let folder = std::fs::read_dir(vmin_testkit::root().join("crates")).expect("the crates");
    let folders = folder.map(|entry| entry.expect("an entry").file_name().into_string());
    let paths = folders
        .map(|name| name.expect("UTF-8"))
        .filter(|name| name != "vmin")
        .map(|name| format!("crates/{name}/Cargo.toml"));
    paths
        .chain(["Cargo.toml".to_owned()])
        .map(|path| {
            let manifest = manifest(&path);
            let mut needed = names_of(&manifest, "dependencies");
            needed.retain(|name| name.starts_with("vmin-"));
            (manifest["package"]["name"].as_str().expect("a name").to_owned(), needed)
        })
        .collect()
}

/// The words in backticks of the columns of a table in ARCHITECTURE.md, found by its header.
fn table(header: &str) -> Vec<Vec<Vec<String>>> {
    let text = read("ARCHITECTURE.md");
    let lines = text.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let rows: Vec<_> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').skip(1).map(words).collect())
        .collect();
    assert!(rows.len() > 3, "no table `{header}`");
    rows
}

#[test]
fn the_crate_map_is_that_of_the_manifests_and_points_one_way() {
    let mut crates = crates();
    let mut above = Names::new();
    for row in table("| crate | depends on |") {
        let [name] = &row[0][..] else { panic!("one crate a row: {row:?}") };
        let needed = crates.remove(name).unwrap_or_else(|| panic!("no crate `{name}`"));
        let told: Names = row[1].iter().map(|name| format!("vmin-{name}")).collect();
        assert_eq!(told, needed, "the dependencies of `{name}`");
        assert!(needed.is_subset(&above), "`{name}` stands above a crate that it depends on");
        above.insert(name.clone());
    }
    assert_eq!(crates, BTreeMap::new(), "crates that the map lacks");
}

#[test]
fn every_dependency_has_its_reason() {
    let workspace = manifest("Cargo.toml");
    let workspace = workspace["workspace"].as_table().expect("a table");
    let mut used = names_of(workspace, "dependencies");
    used.retain(|name| !name.starts_with("vmin-"));
    let told: Names =
        table("| library | for |").into_iter().flat_map(|row| row[0].clone()).collect();
    assert_eq!(told, used);
}

#[test]
fn every_bench_brings_its_own_harness() {
    let folder = std::fs::read_dir(vmin_testkit::root().join("benches")).expect("the benches");
    let found: Names = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    let manifest = manifest("Cargo.toml");
    let told = manifest["bench"].as_array().expect("a list").iter();
    let told = told.filter(|bench| bench["harness"].as_bool() == Some(false));
    let told: Names = told.filter_map(|bench| bench["name"].as_str()).map(str::to_owned).collect();
    assert_eq!(told, found, "`[[bench]]` in Cargo.toml and the folder `benches`");
}

/// Files are opened for reading in `vmin-files` alone, where reads are bounded. Journals and locks append.
#[test]
fn files_are_read_through_one_door() {
    const DOORS: [&str; 4] = ["fs::read(", "fs::read_to_string(", "File::open(", ".read(true)"];
    const MAY: [&str; 2] = ["vmin-files/", "vmin-testkit/"];
    let mut folders = vec![vmin_testkit::root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.display().to_string();
            let of_tests = ["/tests", "/examples", "/benches", "tests.rs", "/mocks"];
            if of_tests.iter().any(|ending| name.ends_with(ending))
                || MAY.iter().any(|may| name.contains(may))
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                let program = text.split("#[cfg(test)]").next().unwrap_or_default();
                let code = program.lines().filter(|line| !line.trim_start().starts_with("//"));
                for line in code.filter(|line| DOORS.iter().any(|door| line.contains(door))) {
                    assert!(name.ends_with("journal.rs"), "{name}: {line}");
                }
            }
        }
    }
}
