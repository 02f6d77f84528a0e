//! Stores that are cut, damaged, shared, compacted and full.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use vmin_testkit::Lcg;

use super::load::listed;
use super::*;

fn trial(candidate: &str, chip: u32, vdd_mv: f64, images: &str) -> TrialId {
    let chip = ChipId { chip: "c".into(), number: chip, offset_bits: 0 };
    let supply = SupplyId { vdd_mv, cells: format!("at {vdd_mv}") };
    let supplies = PerMemory { weight: Some(supply), ..PerMemory::default() };
    TrialId { candidate: candidate.into(), chip, supplies, images: images.into() }
}

/// Counts follow from the name, so that a wrong one is seen.
fn record(chip: u32) -> Record {
    let trial = trial("n", chip, 900.0 - f64::from(chip % 2), "i:0+100");
    let counts = Counts { correct: u64::from(90 - chip % 50), weight: [7, 4], ..Counts::default() };
    Record { trial, counts }
}

fn about(words: &str) -> About {
    About::new(AboutWhat::Candidate, "n", &[("network", words.to_owned())])
}

fn all(_: &TrialId) -> bool {
    true
}

/// A store whose writer is gone, with a segment for each of the lists.
fn store_of(folder: &Path, segments: &[&[u32]]) -> Vec<PathBuf> {
    for segment in segments {
        // Reads nothing of the others, so that each may say what they say.
        let (path, mut file) = segment::create(folder).expect("a segment");
        let text: String = segment.iter().map(|&chip| encode(&record(chip))).collect();
        file.append(text.as_bytes()).expect("written");
        assert!(path.exists());
    }
    let (names, foreign) = listed(folder).expect("listed");
    assert!(foreign.is_empty());
    names.iter().map(|name| folder.join(name)).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn what_is_appended_is_found_again_and_written_once() {
    let folder = folder();
    let new = folder.path().join("new");
    let store = Store::open(&new).expect("empty");
    assert!(store.is_empty() && !new.exists(), "nothing is made before the first record");
    assert!(store.append(&record(1)).expect("written"));
    assert!(!store.append(&record(1)).expect("there"));
    store.describe(&about("one")).expect("written");
    store.describe(&about("two")).expect("has words");
    assert_eq!(store.get(&record(1).trial), Some(record(1).counts));
    assert_eq!(store.get(&record(2).trial), None);
    store.sync().expect("synced");
    let again = Store::open(&new).expect("read");
    assert_eq!(again.select(all), [record(1)]);
    assert_eq!((again.duplicates(), again.segments().0), (0, 1));
    assert_eq!(again.about(AboutWhat::Candidate, "n").expect("words")["network"], "one");
    assert!(again.damage().lines == 0 && again.foreign().is_empty());
}

#[test]
fn a_trial_is_found_over_any_images() {
    let folder = folder();
    let store = Store::open(folder.path()).expect("empty");
    let of = |chip, vdd_mv, images: &str, correct| Record {
        trial: trial("n", chip, vdd_mv, images),
        counts: Counts { correct, ..Counts::default() },
    };
    for record in [
        of(1, 900.0, "i:0+64", 60),
        of(1, 900.0, "i:0+128", 120),
        of(2, 900.0, "i:0+64", 1),
        of(1, 850.0, "i:0+64", 2),
    ] {
        store.append(&record).expect("written");
    }
    let name = trial("n", 1, 900.0, "");
    let store = Store::open(folder.path()).expect("read");
    let found = store.find(&name.candidate, &name.chip, &name.supplies);
    let found: Vec<_> = found.map(|(images, counts)| (images, counts.correct)).collect();
    assert_eq!(found, [("i:0+128".to_owned(), 120), ("i:0+64".to_owned(), 60)]);
    assert_eq!(store.find("other", &name.chip, &name.supplies).count(), 0);
    assert_eq!(store.find("n", &name.chip, &PerMemory::default()).count(), 0);
}

#[test]
fn cut_at_every_byte_whole_lines_survive_and_nothing_is_told() {
    let folder = folder();
    let paths = store_of(folder.path(), &[&[1, 2, 3]]);
    let text = std::fs::read(&paths[0]).expect("read");
    for end in 0..=text.len() {
        std::fs::write(&paths[0], &text[..end]).expect("cut");
        let store = Store::open(folder.path()).expect("a cut is no damage");
        // The newline alone may be missing.
        let lines = [&text[..end], b"\n"].concat();
        let whole = lines.split_inclusive(|&byte| byte == b'\n').filter(|line| {
            let line = &line[..line.len() - 1];
            crate::journal::checked(line).is_ok()
        });
        assert_eq!(store.len(), whole.count(), "cut at {end}");
        assert_eq!(store.damage().lines, 0, "cut at {end}");
    }
}

#[test]
fn a_flipped_bit_loses_its_line_at_most_and_is_told() {
    let folder = folder();
    let paths = store_of(folder.path(), &[&[1, 2, 3], &[4, 5]]);
    let (mut lost, mut told) = (0, 0);
    for path in &paths {
        let text = std::fs::read(path).expect("read");
        for byte in 0..text.len() {
            // All bits of a newline, which may join two lines; one bit of any other byte.
            let bits = if text[byte] == b'\n' { 0..8 } else { byte % 8..byte % 8 + 1 };
            for bit in bits {
                let mut flipped = text.clone();
                flipped[byte] ^= 1 << bit;
                std::fs::write(path, &flipped).expect("flipped");
                let store = Store::open(folder.path()).expect("read");
                let missing: Vec<u32> = (1..=5)
                    .filter(|&chip| {
                        let counts = store.get(&record(chip).trial);
                        assert!(counts.is_none_or(|counts| counts == record(chip).counts));
                        counts.is_none()
                    })
                    .collect();
                assert_eq!(store.len(), 5 - missing.len(), "byte {byte}: another trial");
                assert!(missing.len() <= 1, "byte {byte}, bit {bit}: {missing:?}");
                let damage = store.damage();
                assert!(missing.is_empty() || damage.lines > 0, "byte {byte}, bit {bit}");
                assert!(damage.told.iter().all(|(told, ..)| told == path));
                lost += missing.len();
                told += usize::from(damage.lines > 0);
            }
        }
        std::fs::write(path, &text).expect("mended");
    }
    assert!(lost > 1000 && told >= lost, "{lost} lost, {told} told");
}

#[test]
fn the_order_of_lines_and_segments_carries_no_meaning() {
    let mut random = Lcg(5);
    let mut expected = None;
    for round in 0..12 {
        let folder = folder();
        let mut chips: Vec<u32> = (0..40).chain(10..20).collect();
        for last in (1..chips.len()).rev() {
            chips.swap(last, random.pick(0..=last));
        }
        let segments: Vec<&[u32]> = chips.chunks(random.pick(1..=25)).collect();
        store_of(folder.path(), &segments);
        for words in if round % 2 == 0 { ["x", "y"] } else { ["y", "x"] } {
            let (_, mut file) = segment::create(folder.path()).expect("a segment");
            file.append(segment::about_line(&about(words)).as_bytes()).expect("written");
        }
        let read = || {
            let store = Store::open(folder.path()).expect("read");
            (store.select(all), store.groups(), store.about(AboutWhat::Candidate, "n"))
        };
        let found = read();
        compact(folder.path(), &all, false).expect("compacted");
        assert_eq!(read(), found, "compacted");
        assert_eq!(*expected.get_or_insert(found.clone()), found);
    }
    let (records, groups, words) = expected.expect("twelve");
    assert_eq!((records.len(), groups.len()), (40, 2));
    assert_eq!(groups.iter().map(|group| group.trials).sum::<u64>(), 40);
    assert_eq!(groups[0].supplies.weight.as_ref().expect("a supply").vdd_mv, 900.0);
    assert_eq!(words.expect("words")["network"], "x");
}

#[test]
fn records_that_disagree_are_refused_with_both_files() {
    let folder = folder();
    let mut paths = store_of(folder.path(), &[&[1, 2], &[3]]);
    let other = Record { counts: Counts { correct: 1, ..record(1).counts }, ..record(1) };
    let store = Store::open(folder.path()).expect("read");
    let error = store.append(&other).expect_err("another count").to_string();
    assert!(
        error.contains(&paths[0].display().to_string()) && error.contains("run now"),
        "{error}"
    );
    assert_eq!(store.get(&record(1).trial), Some(record(1).counts));
    let text = [std::fs::read(&paths[1]).expect("read"), encode(&other).into_bytes()].concat();
    std::fs::write(&paths[1], text).expect("written");
    for error in [
        Store::open(folder.path()).err().expect("refused"),
        compact(folder.path(), &all, false).expect_err("refused"),
    ] {
        let error = error.to_string();
        assert!(paths.iter().all(|path| error.contains(&path.display().to_string())), "{error}");
    }
    paths.retain(|path| path.exists());
    assert_eq!(paths.len(), 2, "nothing was removed");
}

#[test]
fn other_versions_and_unknown_lines_are_refused_and_kept_foreign_files_told_and_kept() {
    let folder = folder();
    store_of(folder.path(), &[&[1]]);
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("notes.txt"), "mine").expect("written");
    std::fs::write(path("trials-x-1.jsonl"), "mine").expect("written");
    std::fs::write(path(".nfs0001"), "the file system's").expect("written");
    std::fs::create_dir(path("trials-1-folder.jsonl")).expect("made");
    let foreign = ["notes.txt", "trials-1-folder.jsonl", "trials-x-1.jsonl"];
    assert_eq!(Store::open(folder.path()).expect("read").foreign(), foreign);
    compact(folder.path(), &all, false).expect("compacted");
    assert!(foreign.iter().all(|name| path(name).exists()));
    for (name, words) in [("trials-2-a.jsonl", "a newer"), ("trials-0-a.jsonl", "an older")] {
        std::fs::write(path(name), "whatever").expect("written");
        let error = Store::open(folder.path()).err().expect("refused").to_string();
        assert!(error.contains(words), "{error}");
        compact(folder.path(), &all, false).expect_err("refused");
        assert_eq!(std::fs::read(path(name)).expect("kept"), b"whatever");
        std::fs::remove_file(path(name)).expect("removed");
    }
    let later = serde_json::json!({ "trial": record(2).trial, "counts": record(2).counts, "x": 1 });
    std::fs::write(path("trials-1-z.jsonl"), encode(&record(3)) + &encode(&later))
        .expect("written");
    let error = Store::open(folder.path()).err().expect("refused");
    assert!(matches!(error, StoreError::Unknown { line: 2, .. }), "{error}");
}

#[test]
fn too_many_trials_and_too_long_lines_are_refused() {
    let folder = folder();
    store_of(folder.path(), &[&(0..100).collect::<Vec<_>>()]);
    assert_eq!(load(folder.path(), 100_000).expect("fits").index.len(), 100);
    for bytes in [0, 100, 1_000, 10_000] {
        let error = load(folder.path(), bytes).expect_err("too many");
        assert!(matches!(error, StoreError::TooMany { .. }), "{error}");
    }
    let store = Store::open(folder.path()).expect("read");
    let long = Record { trial: trial(&"n".repeat(1 << 17), 0, 900.0, "i"), ..record(0) };
    assert!(matches!(store.append(&long), Err(StoreError::LongLine { .. })));
    // A line that never ends, from another program.
    let path = folder.path().join("trials-1-a.jsonl");
    let text = [vec![b'x'; 1 << 20], b"\n".to_vec(), encode(&record(200)).into_bytes()].concat();
    std::fs::write(path, text).expect("written");
    let store = Store::open(folder.path()).expect("read");
    assert_eq!((store.len(), store.damage().lines), (101, 1));
}

#[test]
fn segments_in_use_are_left_alone_and_the_others_made_one() {
    let folder = folder();
    let first = Store::open(folder.path()).expect("empty");
    let second = Store::open(folder.path()).expect("empty");
    for chip in 0..6 {
        let store = if chip % 2 == 0 { &first } else { &second };
        store.append(&record(chip)).expect("written");
    }
    second.append(&record(0)).expect("not seen by the second");
    let in_use = compact(folder.path(), &all, false).expect("looked");
    assert_eq!((in_use.segments, in_use.in_use), (0, 2));
    drop(second);
    let paths = store_of(folder.path(), &[&[2, 7]]);
    let text = std::fs::read(&paths[2]).expect("read");
    std::fs::write(&paths[2], [b"damaged\n", &text[..]].concat()).expect("written");
    let before: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("read")).collect();
    let wanted = |trial: &TrialId| trial.chip.number != 5;
    let dry = compact(folder.path(), &wanted, true).expect("looked");
    let after: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("kept")).collect();
    assert_eq!(before, after, "a dry run changes nothing");
    let done = compact(folder.path(), &wanted, false).expect("compacted");
    assert_eq!(done, dry);
    assert_eq!((done.segments, done.in_use, done.trials, done.left_out), (2, 1, 5, 1));
    assert_eq!((done.damage.lines, done.duplicates), (1, 0));
    let (names, _) = listed(folder.path()).expect("listed");
    assert_eq!(names.len(), 2);
    first.append(&record(9)).expect("goes on");
    drop(first);
    let store = Store::open(folder.path()).expect("read");
    let chips: Vec<u32> = store.select(all).iter().map(|record| record.trial.chip.number).collect();
    let mut sorted = chips.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2, 3, 4, 7, 9]);
    let bytes = store.segments().1;
    let done = compact(folder.path(), &all, false).expect("compacted");
    assert_eq!((done.segments, done.bytes_before, done.duplicates), (2, bytes, 2));
    let store = Store::open(folder.path()).expect("read");
    assert_eq!((store.len(), store.segments()), (7, (1, done.bytes_after)));
    assert_eq!(compact(folder.path(), &all, false).expect("looked").segments, 0, "nothing to do");
    compact(folder.path(), &|_| false, false).expect("emptied");
    assert!(listed(folder.path()).expect("listed").0.is_empty());
}

#[test]
fn a_compaction_killed_anywhere_changes_no_trial_and_the_next_one_cleans_up() {
    let folder = folder();
    let paths = store_of(folder.path(), &[&[0, 1, 2], &[2, 3], &[4]]);
    let old: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("read")).collect();
    let read = || Store::open(folder.path()).expect("read").select(all);
    let expected = read();
    // Killed while it wrote.
    let half = folder.path().join(".trials-1-18-7-0.jsonl.4294967295.tmp");
    std::fs::write(&half, &old[0][..old[0].len() - 9]).expect("written");
    assert_eq!(read(), expected);
    compact(folder.path(), &all, false).expect("compacted");
    assert!(!half.exists());
    let (names, _) = listed(folder.path()).expect("listed");
    let new = folder.path().join(names.first().expect("one"));
    // Killed while it removed.
    for kept in 1..=3 {
        for (path, text) in paths.iter().zip(&old).take(kept) {
            std::fs::write(path, text).expect("written");
        }
        assert_eq!(read(), expected);
    }
    compact(folder.path(), &all, false).expect("compacted");
    assert!(!new.exists() && paths.iter().all(|path| !path.exists()));
    assert_eq!(read(), expected);
}

/// Tells another thread to stop, also where this one fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn readers_and_writers_beside_compactions_miss_nothing() {
    let folder = folder();
    store_of(folder.path(), &[&[0, 1], &[2], &[3, 4]]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let compactor = scope.spawn(|| {
            let mut compactions = 0;
            while !stop.load(Ordering::Relaxed) {
                compactions += compact(folder.path(), &all, false).expect("compacted").segments;
            }
            compactions
        });
        let stops = Stops(&stop);
        for chip in 5..60 {
            Store::open(folder.path()).expect("read").append(&record(chip)).expect("written");
            let store = Store::open(folder.path()).expect("read");
            assert_eq!(store.len(), chip as usize + 1);
            assert_eq!(store.damage().lines, 0);
        }
        drop(stops);
        assert!(compactor.join().expect("ended") > 5, "too few compactions to tell");
    });
}

/// A disk that is full after so many bytes.
struct SmallDisk {
    bytes: Arc<Mutex<Vec<u8>>>,
    capacity: usize,
}

impl Log for SmallDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut held = self.bytes.lock().expect("no panic");
        let room = self.capacity.saturating_sub(held.len());
        held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_loses_only_the_record_that_did_not_fit() {
    let folder = folder();
    let whole: usize = (0..4).map(|chip| encode(&record(chip)).len()).sum();
    for capacity in 0..=whole {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let disk = Arc::clone(&bytes);
        let store = Store::over(folder.path(), move || {
            Ok(Box::new(SmallDisk { bytes: Arc::clone(&disk), capacity }) as Box<dyn Log>)
        });
        let store = store.expect("empty");
        let written = (0..4).take_while(|&chip| store.append(&record(chip)).is_ok()).count();
        assert_eq!(written == 4, capacity == whole);
        assert_eq!(store.len(), written, "what failed is not there");
        let path = folder.path().join("trials-1-a.jsonl");
        std::fs::write(&path, &*bytes.lock().expect("no panic")).expect("written");
        let read = Store::open(folder.path()).expect("a cut is no damage");
        // A record whose newline alone did not fit is whole.
        assert!((written..=written + 1).contains(&read.len()), "disk of {capacity} bytes");
        assert!((0..written as u32).all(|chip| read.get(&record(chip).trial).is_some()));
        assert_eq!(read.damage().lines, 0);
        std::fs::remove_file(path).expect("removed");
    }
}
