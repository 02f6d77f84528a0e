//! What a product programs beside the images: flags, row tables, orders of channels, rotations, biases;
//! each a CSV file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use vmin_accel::{Memory, PerMemory};
use vmin_emulator::Image;
use vmin_nn::{Graph, Op};
use vmin_protection::store::{Axis, ChannelOrder, Rotation, RowTable, Storage};
use vmin_sram::Geometry;

use super::broken;
use super::images::{mem_lines, mem_name};
use crate::Failure;

const FLAGS: (&str, [&str; 2]) = ("flags.csv", ["image", "row"]);
const ROWS: (&str, [&str; 3]) = ("rows.csv", ["memory", "row", "holds"]);
const CHANNELS: (&str, [&str; 4]) = ("channels.csv", ["tensor", "stride", "place", "channel"]);
const ROTATIONS: (&str, [&str; 4]) = ("rotations.csv", ["memory", "bank", "column", "bits"]);
const BIASES: (&str, [&str; 4]) = ("biases.csv", ["node", "channel", "bias", "multiplier"]);

/// Rows below a header.
pub(super) fn csv<T: Serialize>(
    header: &[&str],
    rows: impl IntoIterator<Item = T>,
) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(header).map_err(std::io::Error::other)?;
    for row in rows {
        writer.serialize(row).map_err(std::io::Error::other)?;
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// The rows of the file `name` below this header.
pub(super) fn csv_rows<T: DeserializeOwned>(
    name: &str,
    bytes: &[u8],
    header: &[&str],
) -> Result<Vec<T>, Failure> {
    let problem = |error: csv::Error| broken(name, &error.to_string());
    let mut reader = csv::Reader::from_reader(bytes);
    let found = reader.headers().map_err(problem)?;
    if found != header {
        return Err(broken(name, &format!("expected the columns {}", header.join(", "))));
    }
    reader.deserialize().map(|row| row.map_err(problem)).collect()
}

/// The tables of a chip. Files that would be empty are left out, but for the biases.
pub(super) fn files(
    graph: &Graph,
    storages: &PerMemory<Storage>,
    images: &[Image],
    streamed: bool,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut files = vec![(BIASES.0.to_owned(), csv(&BIASES.1, biases(graph))?)];
    let rows: Vec<(&str, u64, u64)> = storages
        .iter()
        .flat_map(|(memory, storage)| {
            let pairs = storage.rows.iter().flat_map(RowTable::pairs);
            pairs.map(move |&(order, row)| (memory.word(), row, order))
        })
        .collect();
    if !rows.is_empty() {
        files.push((ROWS.0.to_owned(), csv(&ROWS.1, rows)?));
    }
    let orders = storages.weight.channels.iter().flat_map(|ChannelOrder { axis, order }| {
        let places = order.iter().enumerate();
        places.map(|(place, &channel)| (axis.tensor, axis.stride, place, channel))
    });
    let orders: Vec<(usize, usize, usize, usize)> = orders.collect();
    if !orders.is_empty() {
        files.push((CHANNELS.0.to_owned(), csv(&CHANNELS.1, orders)?));
    }
    let rotations: Vec<(&str, u32, u64, u8)> = storages
        .iter()
        .flat_map(|(memory, storage)| {
            let of = move |of: &Rotation| (memory.word(), of.bank, of.column, of.bits);
            storage.rotations.iter().map(of)
        })
        .collect();
    if !rotations.is_empty() {
        files.push((ROTATIONS.0.to_owned(), csv(&ROTATIONS.1, rotations)?));
    }
    let flags: Vec<(u32, u64)> = storages
        .weight
        .contents
        .iter()
        .flat_map(|(&image, written)| written.inverted_rows.iter().map(move |&row| (image, row)))
        .collect();
    if !flags.is_empty() {
        files.push((FLAGS.0.to_owned(), csv(&FLAGS.1, flags)?));
        for image in images {
            let flag = |&row: &u64| {
                let inverted = storages.weight.is_inverted(image.content, row);
                (row, u8::from(inverted).to_string())
            };
            let text = mem_lines("1: the row is stored inverted", image.rows.keys().map(flag));
            files.push((mem_name(image.content, streamed, "-flags"), text.into_bytes()));
        }
    }
    Ok(files)
}

/// Node, channel, bias and multiplier of every layer with weights.
fn biases(graph: &Graph) -> Vec<(usize, usize, i32, f64)> {
    let mut rows = Vec::new();
    for (node, of) in graph.nodes.iter().enumerate() {
        let Some(conv) = of.op.product() else { continue };
        let channels = conv.bias.iter().zip(&conv.multipliers).enumerate();
        rows.extend(channels.map(|(channel, (&bias, &factor))| (node, channel, bias, factor)));
    }
    rows
}

/// The network with the biases and multipliers of a deployment.
pub(super) fn with_biases(
    mut graph: Graph,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Graph, Failure> {
    let problem = |what: &str| broken(BIASES.0, what);
    let bytes = files.get(BIASES.0).ok_or_else(|| problem("the file is missing"))?;
    let rows = csv_rows::<(usize, usize, i32, f64)>(BIASES.0, bytes, &BIASES.1)?;
    let places = |of: &[(usize, usize, i32, f64)]| -> Vec<(usize, usize)> {
        of.iter().map(|row| (row.0, row.1)).collect()
    };
    if places(&rows) != places(&biases(&graph)) {
        return Err(problem("it does not name the channels of the network, in order"));
    }
    if rows.iter().any(|row| !(0.0..f64::from(1 << 30)).contains(&row.3)) {
        return Err(problem("multipliers are at least 0 and below 2^30"));
    }
    for (node, channel, bias, multiplier) in rows {
        let Op::Conv2d(conv) = &mut graph.nodes[node].op else { continue };
        (conv.bias[channel], conv.multipliers[channel]) = (bias, multiplier);
    }
    Ok(graph)
}

/// How bits are stored, but for the codes, which the images tell.
pub(super) fn storages(
    graph: &Graph,
    files: &BTreeMap<String, Vec<u8>>,
    geometries: &PerMemory<Geometry>,
) -> Result<PerMemory<Storage>, Failure> {
    let memory = |name: &str, word: &str| {
        let found = Memory::ALL.iter().find(|(known, _)| *known == word);
        found.map(|(_, memory)| *memory).ok_or_else(|| broken(name, "it names no memory"))
    };
    let mut storages = PerMemory::<Storage>::default();
    if let Some(bytes) = files.get(ROWS.0) {
        let mut pairs = PerMemory::<Vec<(u64, u64)>>::default();
        for (word, row, order) in csv_rows::<(String, u64, u64)>(ROWS.0, bytes, &ROWS.1)? {
            pairs.get_mut(memory(ROWS.0, &word)?).push((order, row));
        }
        for (memory, pairs) in pairs.iter().filter(|(_, pairs)| !pairs.is_empty()) {
            let geometry = geometries.get(memory);
            let rows = u64::from(geometry.banks()) * u64::from(geometry.rows());
            let distinct = |of: fn(&(u64, u64)) -> u64| {
                pairs.iter().map(of).filter(|&row| row < rows).collect::<BTreeSet<u64>>().len()
            };
            if [distinct(|pair| pair.0), distinct(|pair| pair.1)] != [pairs.len(); 2] {
                return Err(broken(ROWS.0, "each row of a memory holds one row, and lies in one"));
            }
            storages.get_mut(memory).rows = Some(pairs.clone().into());
        }
    }
    if let Some(bytes) = files.get(CHANNELS.0) {
        storages.weight.channels = channels(graph, bytes)?;
    }
    if let Some(bytes) = files.get(ROTATIONS.0) {
        type Row = (String, u32, u64, u8);
        for (word, bank, column, bits) in csv_rows::<Row>(ROTATIONS.0, bytes, &ROTATIONS.1)? {
            let of = storages.get_mut(memory(ROTATIONS.0, &word)?);
            of.rotations.push(Rotation { bank, column, bits });
        }
        for (_, memory) in Memory::ALL {
            storages.get_mut(memory).rotations.sort_unstable();
        }
    }
    if let Some(bytes) = files.get(FLAGS.0) {
        for (image, row) in csv_rows::<(u32, u64)>(FLAGS.0, bytes, &FLAGS.1)? {
            storages.weight.contents.entry(image).or_default().inverted_rows.push(row);
        }
        for written in storages.weight.contents.values_mut() {
            written.inverted_rows.sort_unstable();
        }
    }
    Ok(storages)
}

/// The orders of channels; only axes of the network, and each channel once.
fn channels(graph: &Graph, bytes: &[u8]) -> Result<Vec<ChannelOrder>, Failure> {
    let mut orders = BTreeMap::<Axis, Vec<(usize, usize)>>::new();
    type Row = (usize, usize, usize, usize);
    for (tensor, stride, place, channel) in csv_rows::<Row>(CHANNELS.0, bytes, &CHANNELS.1)? {
        orders.entry(Axis { tensor, stride }).or_default().push((place, channel));
    }
    let order = |(axis, mut places): (Axis, Vec<(usize, usize)>)| {
        places.sort_unstable();
        let each_once = |of: &mut dyn Iterator<Item = usize>| of.eq(0..places.len());
        let channels: BTreeSet<usize> = places.iter().map(|of| of.1).collect();
        let codes = graph.weights.get(axis.tensor).map_or(0, |of| of.codes.len());
        let fits = axis
            .stride
            .checked_mul(places.len())
            .is_some_and(|length| length > 0 && codes > 0 && codes.is_multiple_of(length));
        let whole =
            each_once(&mut places.iter().map(|of| of.0)) && each_once(&mut channels.into_iter());
        if !(fits && whole) {
            return Err(broken(CHANNELS.0, "each place of an axis of the weights has one channel"));
        }
        Ok(ChannelOrder { axis, order: places.into_iter().map(|of| of.1).collect() })
    };
    orders.into_iter().map(order).collect()
}
