//! Memory images as files: raw bits, Intel HEX, `$readmemh`, and an index of their rows.
//!
//! ```text
//!  weights.bin   the used rows one behind the other, each from a new byte on; column 0 is the least significant bit
//!  weights.hex   the same bytes as Intel HEX
//!  images.csv    which rows of which image begin at which byte
//!  weights.mem   one row a line, its last column first; streamed weights: loads/N.mem for each load
//! ```

use std::collections::BTreeMap;

use vmin_emulator::Image;

use super::tables::{csv, csv_rows};
use crate::Failure;

/// Raw bits.
pub(super) const BIN: &str = "weights.bin";
const HEX: &str = "weights.hex";
/// Index of the rows.
pub(super) const INDEX: &str = "images.csv";

const HEADER: [&str; 5] = ["image", "tensors", "first_row", "rows", "first_byte"];
type Run = (u32, String, u64, u64, u64);

/// The runs of rows without gaps, each with its first byte.
fn index(images: &[Image]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut next_byte = 0;
    for image in images {
        let tensors: Vec<String> = image.tensors.iter().map(ToString::to_string).collect();
        let tensors = tensors.join(" ");
        for (&row, cells) in &image.rows {
            match runs.last_mut() {
                Some((of, _, first, rows, _)) if *of == image.content && *first + *rows == row => {
                    *rows += 1;
                }
                _ => runs.push((image.content, tensors.clone(), row, 1, next_byte)),
            }
            next_byte += cells.len() as u64;
        }
    }
    runs
}

/// The files of all images; `columns` are those of a row.
pub(super) fn files(
    images: &[Image],
    columns: u32,
    streamed: bool,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let bytes: Vec<u8> = images.iter().flat_map(|of| of.rows.values().flatten()).copied().collect();
    let mut files = vec![
        (INDEX.to_owned(), csv(&HEADER, index(images))?),
        (HEX.to_owned(), intel_hex(&bytes).into_bytes()),
        (BIN.to_owned(), bytes),
    ];
    for image in images {
        let name = mem_name(image.content, streamed, "");
        files.push((name, mem(image, columns).into_bytes()));
    }
    Ok(files)
}

/// Name of the `$readmemh` file of an image, or of what belongs to it.
pub(super) fn mem_name(content: u32, streamed: bool, of: &str) -> String {
    match (streamed, of) {
        (true, _) => format!("loads/{content}{of}.mem"),
        (false, "") => "weights.mem".to_owned(),
        (false, of) => format!("{}.mem", of.trim_start_matches('-')),
    }
}

/// The images in the files of a deployment.
pub(super) fn read(bin: &[u8], index: &[u8], columns: u32) -> Result<Vec<Image>, Failure> {
    let row_bytes = u64::from(columns.div_ceil(8));
    let broken = |what: &str| super::broken(INDEX, what);
    let mut images: BTreeMap<u32, Image> = BTreeMap::new();
    for (content, tensors, first_row, rows, first_byte) in csv_rows::<Run>(INDEX, index, &HEADER)? {
        let tensors = tensors.split(' ').map(str::parse).collect::<Result<Vec<usize>, _>>();
        let tensors = tensors.map_err(|_| broken("tensors are numbers"))?;
        let empty = || Image { content, tensors, rows: BTreeMap::new() };
        let image = images.entry(content).or_insert_with(empty);
        let end = rows.checked_mul(row_bytes).and_then(|bytes| first_byte.checked_add(bytes));
        let bytes = end
            .and_then(|end| bin.get(usize::try_from(first_byte).ok()?..usize::try_from(end).ok()?));
        let bytes = bytes.ok_or_else(|| broken(&format!("a run of rows lies beyond `{BIN}`")))?;
        let beyond = || broken("rows are counted in 64 bits");
        first_row.checked_add(rows).ok_or_else(beyond)?;
        // A row has bytes, so the numbers are few enough.
        let cells = bytes.chunks_exact(row_bytes as usize).map(<[u8]>::to_vec);
        image.rows.extend((first_row..).zip(cells));
    }
    Ok(images.into_values().collect())
}

/// Rows for `$readmemh`: the memory is `reg [columns - 1:0] rows [0:rows - 1]`.
fn mem(image: &Image, columns: u32) -> String {
    let digits = columns.div_ceil(4) as usize;
    let row = |cells: &Vec<u8>| -> String {
        let digit = |place: usize| cells[place / 2] >> (4 * (place % 2)) & 15;
        (0..digits).rev().map(|place| format!("{:x}", digit(place))).collect()
    };
    let rows = image.rows.iter().map(|(&number, cells)| (number, row(cells)));
    mem_lines("a row of cells a line, the last column first", rows)
}

/// Lines for `$readmemh`, with an address where rows are left out.
pub(super) fn mem_lines(about: &str, rows: impl Iterator<Item = (u64, String)>) -> String {
    let mut text = format!("// {about}\n");
    let mut next = None;
    for (row, line) in rows {
        if next != Some(row) {
            text.push_str(&format!("@{row:x}\n"));
        }
        text.push_str(&line);
        text.push('\n');
        next = Some(row + 1);
    }
    text
}

/// Bytes as Intel HEX: records of 16 bytes, with an extended linear address every 64 KiB.
fn intel_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut record = |address: u16, kind: u8, data: &[u8]| {
        // At most 16 bytes.
        let mut all = vec![data.len() as u8];
        all.extend(address.to_be_bytes());
        all.push(kind);
        all.extend(data);
        let sum = all.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        all.push(sum.wrapping_neg());
        text.push(':');
        all.iter().for_each(|byte| text.push_str(&format!("{byte:02X}")));
        text.push('\n');
    };
    for (page, bytes) in (0_u16..).zip(bytes.chunks(1 << 16)) {
        if page > 0 {
            record(0, 4, &page.to_be_bytes());
        }
        for (line, data) in (0_u16..).zip(bytes.chunks(16)) {
            record(line * 16, 0, data);
        }
    }
    record(0, 1, &[]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intel_hex_is_that_of_its_specification() {
        let mut bytes = vec![0; 0x1_0010];
        let data =
            [0x21, 0x46, 0x01, 0x36, 0x01, 0x21, 0x47, 0x01, 0x36, 0, 0x7e, 0xfe, 9, 0xd2, 0x19, 1];
        bytes[0x100..0x110].copy_from_slice(&data);
        let text = intel_hex(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0x10], ":10010000214601360121470136007EFE09D2190140");
        assert_eq!(lines[0x1000], ":020000040001F9");
        assert_eq!(lines[0x1001], ":1000000000000000000000000000000000000000F0");
        assert_eq!(lines[0x1002..], [":00000001FF"]);
    }

    #[test]
    fn rows_come_back_from_their_files() {
        let rows = |first: u64| [first, first + 1, first + 5].map(|row| (row, vec![row as u8, 3]));
        let image = |content: u32| Image {
            content,
            tensors: vec![1, 4],
            rows: rows(u64::from(content) * 7).into_iter().collect(),
        };
        let images = [image(0), image(1)];
        let files: BTreeMap<_, _> =
            files(&images, 10, true).expect("written").into_iter().collect();
        assert_eq!(read(&files[BIN], &files[INDEX], 10).expect("read"), images);
        let mem = String::from_utf8(files["loads/1.mem"].clone()).expect("text");
        assert_eq!(mem.lines().skip(1).collect::<Vec<_>>(), ["@7", "307", "308", "@c", "30c"]);
        let Err(Failure::Input(_)) = read(&files[BIN][1..], &files[INDEX], 10) else {
            panic!("a byte is missing")
        };
    }
}
