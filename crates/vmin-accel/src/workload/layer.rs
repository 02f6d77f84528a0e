//! A layer: its work and the sizes of its tensors, without values.

use crate::scalesim::Window;

/// Most multiply-accumulates of one layer, 2^48. Every count derived from a shape then fits in `u64`
/// with the array sizes allowed here.
pub const MACS_MAX: u64 = 1 << 48;

/// Why a shape was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A dimension is zero.
    #[error("a matrix product needs every dimension at least 1, not {groups} x ({m} x {n} x {k})")]
    Empty {
        /// Independent products.
        groups: u64,
        /// Rows of the result.
        m: u64,
        /// Columns of the result.
        n: u64,
        /// Length of the sums.
        k: u64,
    },
    /// More than [`MACS_MAX`] multiply-accumulates.
    #[error("{groups} x ({m} x {n} x {k}) are more than 2^48 multiply-accumulates")]
    TooLarge {
        /// Independent products.
        groups: u64,
        /// Rows of the result.
        m: u64,
        /// Columns of the result.
        n: u64,
        /// Length of the sums.
        k: u64,
    },
    /// A size of a convolution is zero or too large.
    #[error("sizes of a convolution must lie between 1 and {max}")]
    Size {
        /// Largest size allowed.
        max: u64,
    },
    /// Groups that do not divide channels and filters.
    #[error("{groups} groups do not divide {channels} channels and {filters} filters")]
    Groups {
        /// Channels of the input.
        channels: u64,
        /// Filters.
        filters: u64,
        /// Groups.
        groups: u64,
    },
    /// A kernel larger than the padded input.
    #[error("a kernel reaching over {reach} pixels exceeds a padded input of {input}")]
    Window {
        /// Pixels of the padded input.
        input: u64,
        /// Pixels that the kernel covers.
        reach: u64,
    },
    /// A size of an attention is zero or too large.
    #[error("sequence, width and heads of an attention must lie between 1 and {max}")]
    Attention {
        /// Largest size allowed.
        max: u64,
    },
    /// Heads that do not divide the width.
    #[error("{heads} heads do not divide a width of {d_model}")]
    Heads {
        /// Width of a token.
        d_model: u64,
        /// Heads of queries.
        heads: u64,
    },
    /// Heads of keys that do not divide the heads.
    #[error("{kv_heads} heads of keys and values do not divide {heads} heads")]
    KvHeads {
        /// Heads of queries.
        heads: u64,
        /// Heads of keys and values.
        kv_heads: u64,
    },
    /// A batch of no images, or one too large.
    #[error("a batch needs 1 to 65536 images, not {0}")]
    Batch(u64),
}

/// `groups` independent products `C[m, n] = A[m, k] * B[k, n]`: activations times weights.
///
/// A convolution has `m` output pixels, `n` output channels per group and sums of length
/// `k = kernel_height * kernel_width * input channels per group`. A depthwise convolution has one group
/// per input channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GemmShape {
    m: u64,
    n: u64,
    k: u64,
    groups: u64,
}

impl GemmShape {
    /// One product.
    ///
    /// # Errors
    /// A dimension is zero or the product exceeds [`MACS_MAX`].
    pub fn new(m: u64, n: u64, k: u64) -> Result<Self, ShapeError> {
        Self::grouped(m, n, k, 1)
    }

    /// `groups` products of one shape, run one after another.
    ///
    /// # Errors
    /// A dimension is zero or the product exceeds [`MACS_MAX`].
    pub fn grouped(m: u64, n: u64, k: u64, groups: u64) -> Result<Self, ShapeError> {
        if m == 0 || n == 0 || k == 0 || groups == 0 {
            return Err(ShapeError::Empty { groups, m, n, k });
        }
        let macs =
            m.checked_mul(n).and_then(|x| x.checked_mul(k)).and_then(|x| x.checked_mul(groups));
        match macs {
            Some(macs) if macs <= MACS_MAX => Ok(Self { m, n, k, groups }),
            _ => Err(ShapeError::TooLarge { groups, m, n, k }),
        }
    }

    /// Rows of the result of one group: output pixels.
    #[must_use]
    pub const fn m(self) -> u64 {
        self.m
    }

    /// Columns of the result of one group: output channels.
    #[must_use]
    pub const fn n(self) -> u64 {
        self.n
    }

    /// Length of the sums.
    #[must_use]
    pub const fn k(self) -> u64 {
        self.k
    }

    /// Independent products.
    #[must_use]
    pub const fn groups(self) -> u64 {
        self.groups
    }

    /// `[m, n, k]`.
    #[must_use]
    pub const fn sizes(self) -> [u64; 3] {
        [self.m, self.n, self.k]
    }

    /// Multiply-accumulates of all groups, at most [`MACS_MAX`].
    #[must_use]
    pub const fn macs(self) -> u64 {
        self.m * self.n * self.k * self.groups
    }
}

/// The work of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// On the array.
    Gemm(GemmShape),
    /// Element by element on the vector unit: pooling, sums, softmax.
    Vector,
}

/// A tensor that a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// The layer that wrote it, by its place in the list; the network's input if absent.
    pub from: Option<usize>,
    /// Its elements.
    pub elements: u64,
}

/// The tensors between a layer and the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// What it reads, each tensor once. Computed weights come last.
    pub reads: Vec<Read>,
    /// Whether its output is that of the network.
    pub leaves: bool,
}

/// One layer with its tensor sizes, in elements of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name for tables.
    pub name: String,
    /// Its work.
    pub work: Work,
    /// Distinct input activations (before any im2col), all inputs together.
    pub inputs: u64,
    /// Output activations.
    pub outputs: u64,
    /// Weight codes, 0 for vector work.
    pub weights: u64,
    /// Bits per weight code, 1..=8.
    pub weight_bits: u8,
    /// Whether the weights are computed during the inference, as keys and values of attention are.
    /// Such weights are never resident, and each image of a batch has its own.
    pub computed_weights: bool,
    /// Windows of one group over its input; those of a plain product if absent.
    pub window: Option<Window>,
    /// Images at once, one below the other in `m`; each has the windows.
    pub images: u64,
    /// Where its inputs come from. Without it, the layer reads what the one before has written.
    pub flow: Option<Flow>,
}

impl Flow {
    fn batched(&self, images: u64) -> Self {
        let batched = |read: &Read| Read {
            elements: read.elements.saturating_mul(images).min(MACS_MAX),
            ..*read
        };
        Self { reads: self.reads.iter().map(batched).collect(), leaves: self.leaves }
    }
}

impl Layer {
    /// A plain int8 matrix product: `m * k` inputs, `n * k` weights, `m * n` outputs per group.
    #[must_use]
    pub fn gemm(name: impl Into<String>, shape: GemmShape) -> Self {
        let GemmShape { m, n, k, groups } = shape;
        Self {
            name: name.into(),
            work: Work::Gemm(shape),
            inputs: m * k * groups,
            outputs: m * n * groups,
            weights: n * k * groups,
            weight_bits: 8,
            computed_weights: false,
            window: None,
            images: 1,
            flow: None,
        }
    }

    /// Element-wise work.
    #[must_use]
    pub fn vector(name: impl Into<String>, inputs: u64, outputs: u64) -> Self {
        Self {
            name: name.into(),
            work: Work::Vector,
            inputs: inputs.min(MACS_MAX),
            outputs: outputs.min(MACS_MAX),
            weights: 0,
            weight_bits: 8,
            computed_weights: false,
            window: None,
            images: 1,
            flow: None,
        }
    }

    /// The same layer for a batch of `images`: more output pixels, the same weights. Computed weights
    /// become one group per image.
    ///
    /// # Errors
    /// No images or more than 65536, or the product exceeds [`MACS_MAX`].
    pub fn batched(&self, images: u64) -> Result<Self, ShapeError> {
        if !(1..=1 << 16).contains(&images) {
            return Err(ShapeError::Batch(images));
        }
        if images == 1 {
            return Ok(self.clone());
        }
        let work = match self.work {
            Work::Gemm(GemmShape { m, n, k, groups }) if self.computed_weights => {
                Work::Gemm(GemmShape::grouped(m, n, k, groups.saturating_mul(images))?)
            }
            Work::Gemm(GemmShape { m, n, k, groups }) => {
                Work::Gemm(GemmShape::grouped(m.saturating_mul(images), n, k, groups)?)
            }
            Work::Vector => Work::Vector,
        };
        let weights = if self.computed_weights { images } else { 1 };
        Ok(Self {
            work,
            weights: self.weights.saturating_mul(weights).min(MACS_MAX),
            inputs: self.inputs.saturating_mul(images).min(MACS_MAX),
            outputs: self.outputs.saturating_mul(images).min(MACS_MAX),
            images: self.images.saturating_mul(images),
            window: if self.computed_weights { None } else { self.window },
            flow: self.flow.as_ref().map(|flow| flow.batched(images)),
            ..self.clone()
        })
    }

    /// Multiply-accumulates.
    #[must_use]
    pub const fn macs(&self) -> u64 {
        match self.work {
            Work::Gemm(shape) => shape.macs(),
            Work::Vector => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_absurd_shapes_are_refused() {
        assert!(matches!(GemmShape::new(0, 1, 1), Err(ShapeError::Empty { .. })));
        assert!(matches!(GemmShape::grouped(1, 1, 1, 0), Err(ShapeError::Empty { .. })));
        assert!(matches!(
            GemmShape::new(1 << 20, 1 << 20, 1 << 9),
            Err(ShapeError::TooLarge { .. })
        ));
        assert!(matches!(GemmShape::new(u64::MAX, u64::MAX, 2), Err(ShapeError::TooLarge { .. })));
        assert_eq!(GemmShape::new(1 << 16, 1 << 16, 1 << 16).unwrap().macs(), MACS_MAX);
    }
}
