//! Multi-head attention as work for the array and the vector unit.
//!
//! A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2; heads that share keys and
//! values: J. Ainslie et al., "GQA", EMNLP 2023.
//!
//! ```text
//!  S tokens, T = cached + S keys, H heads of d = D / H, V heads of keys and values
//!
//!                  groups    m          n      k
//!  query           1         S          D      D       weights
//!  key, value      1         S          V d    D       weights
//!  scores          V         S H / V    T      d       keys in place of weights
//!  softmax                   H S T elements            vector unit
//!  context         V         S H / V    d      T       values in place of weights
//!  output          1         S          D      D       weights
//! ```
//!
//! The queries of the heads that share a key lie one below the other: the array keeps the key for all
//! of them. No product is skipped for a causal mask, the vector unit passes over the scores once (the
//! online form, the least it can do), and scores leave the array as int8 like every result here.
//! Keys and values of cached tokens are fetched like activations.

use crate::{Flow, GemmShape, Layer, Read, ShapeError};

/// Multi-head attention over one sequence.
///
/// ```
/// use vmin_accel::{Attention, Layer};
/// let attention = Attention::new(128, 256, 4);
/// let layers = attention.layers("block")?;
/// let macs: u64 = layers.iter().map(Layer::macs).sum();
/// // Four projections, then scores and context.
/// assert_eq!(macs, 4 * 128 * 256 * 256 + 2 * 128 * 128 * 256);
/// # Ok::<(), vmin_accel::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Tokens of the sequence, one query each.
    pub sequence: u64,
    /// Width of a token, all heads together.
    pub d_model: u64,
    /// Heads of queries.
    pub heads: u64,
    /// Heads of keys and values; as many as `heads` in the plain form, 1 in multi-query attention.
    pub kv_heads: u64,
    /// Earlier tokens, whose keys and values are cached; 0 for a whole sequence.
    pub cached: u64,
}

/// Largest size along any axis.
const SIZE_MAX: u64 = 1 << 20;

impl Attention {
    /// Plain attention of a sequence to itself.
    #[must_use]
    pub const fn new(sequence: u64, d_model: u64, heads: u64) -> Self {
        Self { sequence, d_model, heads, kv_heads: heads, cached: 0 }
    }

    /// Its seven layers in order of execution, named `name.query`, `name.key` and so on.
    ///
    /// # Errors
    /// A size is zero (other than `cached`) or above 2^20, heads do not divide `d_model`, heads of keys
    /// do not divide heads, or a product exceeds [`crate::MACS_MAX`].
    pub fn layers(&self, name: &str) -> Result<Vec<Layer>, ShapeError> {
        let Self { sequence, d_model, heads, kv_heads, cached } = *self;
        let sizes = [sequence, d_model, heads, kv_heads];
        if sizes.iter().any(|size| !(1..=SIZE_MAX).contains(size)) || cached > SIZE_MAX {
            return Err(ShapeError::Attention { max: SIZE_MAX });
        }
        if !d_model.is_multiple_of(heads) {
            return Err(ShapeError::Heads { d_model, heads });
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(ShapeError::KvHeads { heads, kv_heads });
        }
        let (head, keys) = (d_model / heads, cached + sequence);
        let stacked = sequence * (heads / kv_heads);
        let called = |part: &str| format!("{name}.{part}");
        let projection = |part: &str, n: u64| -> Result<Layer, ShapeError> {
            Ok(Layer::gemm(called(part), GemmShape::new(sequence, n, d_model)?))
        };
        let of_heads = |part: &str, n: u64, k: u64| -> Result<Layer, ShapeError> {
            let shape = GemmShape::grouped(stacked, n, k, kv_heads)?;
            Ok(Layer { computed_weights: true, ..Layer::gemm(called(part), shape) })
        };
        let scores = of_heads("scores", keys, head)?;
        let elements = scores.outputs;
        let layers = [
            projection("query", d_model)?,
            projection("key", kv_heads * head)?,
            projection("value", kv_heads * head)?,
            scores,
            Layer::vector(called("softmax"), elements, elements),
            of_heads("context", head, keys)?,
            projection("output", d_model)?,
        ];
        // The layers whose outputs each one reads.
        let sources: [&[Option<usize>]; 7] = [
            &[None],
            &[None],
            &[None],
            &[Some(0), Some(1)],
            &[Some(3)],
            &[Some(4), Some(2)],
            &[Some(5)],
        ];
        let written = layers.each_ref().map(|layer| layer.outputs);
        let read = |&from: &Option<usize>| Read {
            from,
            elements: from.map_or(sequence * d_model, |layer| written[layer]),
        };
        let flow = |sources: &[Option<usize>]| Flow {
            reads: sources.iter().map(read).collect(),
            leaves: false,
        };
        let joined = layers.into_iter().zip(sources);
        Ok(joined.map(|(layer, from)| Layer { flow: Some(flow(from)), ..layer }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn macs(layers: &[Layer]) -> Vec<u64> {
        layers.iter().map(Layer::macs).collect()
    }

    #[test]
    fn products_are_those_computed_by_hand() {
        // BERT base: 128 tokens of 768, 12 heads of 64.
        let layers = Attention::new(128, 768, 12).layers("a").unwrap();
        let (projection, head) = (75_497_472, 12_582_912);
        let expected = [projection, projection, projection, head, 0, head, projection];
        assert_eq!(macs(&layers), expected);
        assert_eq!((layers[4].inputs, layers[4].outputs), (196_608, 196_608));
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        let parts =
            ["a.query", "a.key", "a.value", "a.scores", "a.softmax", "a.context", "a.output"];
        assert_eq!(names, parts);
    }

    #[test]
    fn shared_keys_and_cached_tokens() {
        // One new token after 1023, 8 heads of 16 that share 2 heads of keys.
        let attention = Attention { kv_heads: 2, cached: 1023, ..Attention::new(1, 128, 8) };
        let layers = attention.layers("a").unwrap();
        let head = 8 * 1024 * 16;
        assert_eq!(macs(&layers), [16_384, 128 * 32, 128 * 32, head, 0, head, 16_384]);
        // Keys of two heads only are fetched; queries of all heads.
        assert_eq!((layers[3].weights, layers[3].inputs), (2 * 1024 * 16, 128));
        assert_eq!((layers[5].weights, layers[5].outputs), (2 * 1024 * 16, 128));
    }

    #[test]
    fn every_head_by_itself_multiplies_as_much() {
        for (sequence, d_model, heads, kv_heads, cached) in
            [(3, 12, 6, 2, 0), (5, 8, 4, 4, 7), (2, 6, 3, 1, 1)]
        {
            let attention = Attention { sequence, d_model, heads, kv_heads, cached };
            let layers = attention.layers("a").unwrap();
            let mut expected = 0;
            for _head in 0..heads {
                for _query in 0..sequence {
                    for _key in 0..cached + sequence {
                        expected += d_model / heads;
                    }
                }
            }
            assert_eq!((layers[3].macs(), layers[5].macs()), (expected, expected));
        }
    }

    #[test]
    fn a_batch_has_keys_of_its_own() {
        let layers = Attention::new(16, 32, 4).layers("a").unwrap();
        let batched = |index: usize| layers[index].batched(3).unwrap();
        assert_eq!(batched(3).weights, 3 * layers[3].weights);
        assert_eq!(batched(3).macs(), 3 * layers[3].macs());
        // The weights of a projection serve all.
        assert_eq!(batched(0).weights, layers[0].weights);
        assert_eq!(batched(0).macs(), 3 * layers[0].macs());
    }

    #[test]
    fn impossible_heads_are_refused() {
        let plain = Attention::new(16, 32, 4);
        let errors = [
            Attention { sequence: 0, ..plain },
            Attention { heads: 5, kv_heads: 5, ..plain },
            Attention { kv_heads: 3, ..plain },
            Attention { cached: u64::MAX, ..plain },
            Attention { d_model: 1 << 20, cached: 1 << 20, ..Attention::new(1 << 20, 1, 4) },
        ]
        .map(|attention| attention.layers("a").unwrap_err());
        assert!(matches!(errors[0], ShapeError::Attention { .. }));
        assert!(matches!(errors[1], ShapeError::Heads { heads: 5, .. }));
        assert!(matches!(errors[2], ShapeError::KvHeads { kv_heads: 3, .. }));
        assert!(matches!(errors[3], ShapeError::Attention { .. }));
        assert!(matches!(errors[4], ShapeError::TooLarge { .. }));
    }
}
