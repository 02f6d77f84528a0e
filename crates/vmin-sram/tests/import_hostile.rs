//! Ten thousand damaged files for each importer: an error or a chip, never a panic, and never more
//! memory than the file and 64 MiB. Mutations are a pure function of their number.
#![expect(clippy::print_stderr, reason = "it tells what the files cost")]
#![expect(unsafe_code, reason = "an allocator that counts is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use npyz::WriterBuilder;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vmin_sram::Geometry;
use vmin_sram::import::{Format, ImportLimits, ImportOptions, Importer};

const MUTATIONS: u64 = 10_000;
const SPARE_BYTES: usize = 64 << 20;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn parquet() -> Vec<u8> {
    let schema = "message list { required int32 bank; required int32 row; required int32 column; \
                  required double vdd_mv; required binary kind (UTF8); required double probability; }";
    let schema = Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let properties =
        WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut index = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        let count = 40_i32;
        match index {
            0..=2 => {
                let values: Vec<i32> = (0..count).map(|i| i % (index + 2)).collect();
                column.typed::<Int32Type>().write_batch(&values, None, None).unwrap();
            }
            4 => {
                let kinds = ["flip", "stuck_at_0", "stuck_at_1"];
                let values: Vec<ByteArray> =
                    (0..40).map(|i| ByteArray::from(kinds[i % 3])).collect();
                column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            }
            _ => {
                let start = if index == 3 { 500.0 } else { 0.0 };
                let values: Vec<f64> = (0..count).map(|i| start + f64::from(i) / 64.0).collect();
                column.typed::<DoubleType>().write_batch(&values, None, None).unwrap();
            }
        }
        column.close().unwrap();
        index += 1;
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

fn npy(values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(&[2, 4, values.len() as u64 / 8]);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// One deterministic change, or several.
fn mutate(bytes: &[u8], number: u64) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(number);
    let mut bytes = bytes.to_vec();
    let mut below = |bound: usize| (random.next_u64() % bound.max(1) as u64) as usize;
    for _ in 0..=below(3) {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        let at = below(length);
        match below(7) {
            0 => bytes[at] ^= 1 << below(8),
            1 => bytes[at] = [0, 0xff, b'-', b',', b'\n', b'9', b'e', 0x80][below(8)],
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..(at + 1 + below(64)).min(length)].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => drop(bytes.drain(at..(at + 1 + below(16)).min(length))),
            5 => {
                let huge: &[u8] = [b"4294967296".as_slice(), b"-1", b"1e309", b"nan"][below(4)];
                bytes.splice(at..(at + 1).min(length), huge.iter().copied());
            }
            _ => {
                let end = (at + 4).min(length);
                bytes[at..end].fill([0xff, 0x7f, 0][below(3)]);
            }
        }
    }
    bytes
}

#[test]
fn damaged_files_are_harmless() {
    let list = "# geometry=2 x 4 x 8\n# levels_mv=590,580\nbank,row,column,vdd_mv,kind,probability\n\
                0,1,2,590,flip,0.5\n1,3,7,580,stuck_at_0,1\n1,3,7,580,stuck_at_1,0.25\n";
    let dump = "FFFF FFFF FFFF FFFF\nFFFF FEFF FFFF FFFF\nFFFF FFFF FFFF FFFF\n".repeat(4);
    let ibm = "0,0,1,0\n0,1,0,0\n0,0,0,0\n".repeat(8);
    let probabilities: Vec<f64> = (0..64).map(|i| f64::from(i % 5) / 4.0).collect();
    let voltages: Vec<f64> = (0..64).map(|i| f64::from(i % 5) * 125.0).collect();
    let files: [(&str, &str, Vec<u8>); 8] = [
        ("ibm", "fmap_sa0_v_0.53.txt", ibm.clone().into_bytes()),
        ("ibm", "fmap_sa1_v_0.53.txt.gz", gzip(ibm.as_bytes())),
        ("dump", "board-0.53.hex", dump.clone().into_bytes()),
        ("dump", "board-0.53.hex.gz", gzip(dump.as_bytes())),
        ("list", "faults.csv", list.as_bytes().to_vec()),
        ("parquet", "faults.parquet", parquet()),
        ("npy", "p01_0.53V.npy", npy(&probabilities)),
        ("npy", "vfail.npy", npy(&voltages)),
    ];
    // Panics of a library are caught; their messages would hide everything else.
    std::panic::set_hook(Box::new(|_| {}));
    let geometry = Geometry::new(64, 64, 64).ok();
    let mut problems = String::new();
    let mut figures = String::new();
    for (format, name, valid) in &files {
        let import = |bytes: &[u8]| {
            let detected = [None, Format::named(format)][bytes.len() % 2];
            let geometry = if *format == "parquet" { geometry } else { None };
            let options = ImportOptions {
                format: detected,
                geometry,
                words_per_bank: Some(1),
                ..ImportOptions::default()
            };
            let mut importer = Importer::new(options, ImportLimits::default());
            importer.add(name, bytes).and_then(|()| importer.finish()).is_ok()
        };
        assert!(import(valid), "{name} is valid");
        let (mut slowest, mut most, mut accepted) = (Duration::ZERO, 0, 0);
        for number in 0..MUTATIONS {
            let bytes = mutate(valid, number);
            let before = LIVE.load(Relaxed);
            PEAK.store(before, Relaxed);
            let started = Instant::now();
            let result = std::panic::catch_unwind(|| import(&bytes));
            slowest = slowest.max(started.elapsed());
            let used = PEAK.load(Relaxed).saturating_sub(before);
            most = most.max(used);
            if used > bytes.len() + SPARE_BYTES {
                problems += &format!("{name}, mutation {number}: {used} bytes\n");
            }
            match result {
                Ok(true) => accepted += 1,
                Ok(false) => {}
                Err(_) => problems += &format!("{name}, mutation {number}: panics\n"),
            }
        }
        figures += &format!("{name}: {accepted} accepted, {most} bytes, {slowest:?}\n");
    }
    drop(std::panic::take_hook());
    // Shown with --nocapture; times are nobody's promise.
    eprint!("{figures}");
    let first: String = problems.lines().take(20).map(|line| format!("{line}\n")).collect();
    assert!(problems.is_empty(), "{} problems, of them\n{first}", problems.lines().count());
}
