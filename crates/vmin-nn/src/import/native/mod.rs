//! vmin's own model file: a `.safetensors` container.
//!
//! ```text
//!  tensor `weight.00000`, `weight.00001`, ..   U8, one code per byte, in the tensor's shape
//!  metadata key `vmin`                          the graph as JSON (header.rs), everything else
//! ```
//!
//! Codes are plain tensors, so that other tools can load and corrupt them. Floats are stored as the
//! shortest decimal strings that parse to the same bits. Equal graphs give equal bytes.

mod header;

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};

use crate::error::check_limit;
use crate::{Graph, Limits, ModelError};

/// Version of the file format that is written and read.
pub const VERSION: u32 = 1;

/// Start of the container's JSON header, after its length.
pub(super) const MAGIC: (usize, &[u8]) = (8, b"{");

/// Key of the graph in the container's metadata.
const KEY: &str = "vmin";

fn weight_name(index: usize) -> String {
    format!("weight.{index:05}")
}

/// The file's bytes.
///
/// # Errors
/// If the graph breaks a rule of [`Graph::validate`].
pub fn save(graph: &Graph) -> Result<Vec<u8>, ModelError> {
    graph.validate()?;
    let json = header::to_json(graph).map_err(|source| ModelError::Header { source })?;
    let views = graph.weights.iter().enumerate().map(|(index, weights)| {
        let view = TensorView::new(Dtype::U8, weights.shape.clone(), &weights.codes)?;
        Ok((weight_name(index), view))
    });
    let views: Result<Vec<_>, SafeTensorError> = views.collect();
    let metadata = HashMap::from([(KEY.to_owned(), json)]);
    views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|source| ModelError::Safetensors { source })
}

/// [`save`] with a key `made_by` before the graph, which tells who wrote the file.
///
/// # Errors
/// As for [`save`].
pub fn save_by(graph: &Graph, made_by: &str) -> Result<Vec<u8>, ModelError> {
    const START: &[u8] = br#"{"__metadata__":{"#;
    let mut bytes = save(graph)?;
    // The library writes several keys in any order. Spaces keep the codes aligned, as the format asks.
    let mut key = format!("\"made_by\":{},", serde_json::Value::from(made_by));
    key.extend(std::iter::repeat_n(' ', key.len().next_multiple_of(8) - key.len()));
    let (length, rest) = bytes.split_at_mut(8);
    let header = u64::from_le_bytes(core::array::from_fn(|byte| length[byte])) + key.len() as u64;
    debug_assert!(rest.starts_with(START));
    length.copy_from_slice(&header.to_le_bytes());
    let at = length.len() + START.len();
    bytes.splice(at..at, key.into_bytes());
    Ok(bytes)
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// Damaged containers, headers of another version or with unknown fields, sizes above `limits`,
/// graphs that break a rule of [`Graph::validate`].
pub fn load(bytes: &[u8], limits: &Limits) -> Result<Graph, ModelError> {
    check_limit(|| "size of the file".into(), bytes.len(), limits.file_bytes_max)?;
    let container = |source| ModelError::Safetensors { source };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(container)?;
    let Some(json) = metadata.metadata().as_ref().and_then(|m| m.get(KEY)) else {
        return Err(ModelError::WrongFormat {
            format: "vmin model",
            found: "a safetensors file without metadata key `vmin`".into(),
        });
    };
    let mut graph = header::from_json(json)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(container)?;
    if tensors.len() != graph.weights.len() {
        let found = format!("{} for {}", tensors.len(), graph.weights.len());
        return Err(ModelError::graph("one stored tensor per weight tensor", found));
    }
    for (index, weights) in graph.weights.iter_mut().enumerate() {
        let view = tensors.tensor(&weight_name(index)).map_err(container)?;
        if view.dtype() != Dtype::U8 || view.shape() != weights.shape {
            let found = format!("{:?} {:?}", view.dtype(), view.shape());
            return Err(ModelError::tensor(&weights.name, "codes are U8 in its shape", found));
        }
        weights.codes = view.data().to_vec();
    }
    graph.validate_within(limits)?;
    Ok(graph)
}

/// Factors as pairs `[multiplier, shift]`.
pub(crate) mod multipliers {
    use serde::{Deserialize, Deserializer, Serializer};
    use vmin_quant::FixedMultiplier;

    pub(crate) fn serialize<S: Serializer>(
        factors: &[FixedMultiplier],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(factors.iter().map(|m| [m.multiplier, m.shift]))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<FixedMultiplier>, D::Error> {
        let pairs = Vec::<[i32; 2]>::deserialize(deserializer)?;
        Ok(pairs
            .into_iter()
            .map(|[multiplier, shift]| FixedMultiplier { multiplier, shift })
            .collect())
    }
}

/// Factors: a pair `[multiplier, shift]` where that is the factor exactly, otherwise its shortest decimal.
pub(crate) mod factors {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use vmin_quant::FixedMultiplier;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Pair([i32; 2]),
        Decimal(String),
    }

    pub(crate) fn serialize<S: Serializer>(
        factors: &[f64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(factors.iter().map(|factor| {
            match FixedMultiplier::from_real(*factor) {
                Ok(held) if held.real() == *factor => Stored::Pair([held.multiplier, held.shift]),
                _ => Stored::Decimal(factor.to_string()),
            }
        }))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<f64>, D::Error> {
        let factor = |stored| match stored {
            Stored::Decimal(text) => text.parse().map_err(D::Error::custom),
            Stored::Pair([multiplier, shift]) => {
                let held = FixedMultiplier { multiplier, shift };
                match FixedMultiplier::from_real(held.real()) {
                    Ok(same) if same == held || multiplier == 0 => Ok(held.real()),
                    _ => Err(D::Error::custom(format!(
                        "a multiplier is 0 or in 2^30..2^31, its shift in -31..=30, found {held:?}"
                    ))),
                }
            }
        };
        Vec::<Stored>::deserialize(deserializer)?.into_iter().map(factor).collect()
    }
}

/// A float as its shortest decimal: many JSON readers round numbers to double first.
pub(crate) mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(float: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(float)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A list of floats, as [`decimal`].
pub(crate) mod decimals {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<F: Display, S: Serializer>(
        floats: &[F],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(floats.iter().map(F::to_string))
    }

    pub(crate) fn deserialize<'de, F: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<F>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}
