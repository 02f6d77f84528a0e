//! TFLite tensors as activations, weight codes and biases.

use vmin_quant::Encoding;

use super::schema::{self, tensor_type};
use crate::error::checked_product;
use crate::validate::{check_scale, check_weight_tensor};
use crate::{Dtype, Limits, ModelError, Quantization, Tensor, WeightTensor};

/// How the axes of a weight tensor lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WeightLayout {
    /// `[out, kh, kw, in]`, as held here.
    Conv,
    /// `[1, kh, kw, out]`, held as `[out, kh, kw, 1]`.
    Depthwise,
    /// `[out, in]`, as held here.
    FullyConnected,
}

pub(super) fn name(tensor: &schema::Tensor<'_>) -> String {
    String::from_utf8_lossy(tensor.name).into_owned()
}

/// The dimensions as `usize`.
fn dimensions(tensor: &schema::Tensor<'_>, limits: &Limits) -> Result<Vec<usize>, ModelError> {
    if tensor.is_sparse || tensor.is_variable {
        return Err(ModelError::tensor(
            &name(tensor),
            "sparse and variable tensors are not supported",
            if tensor.is_sparse { "a sparse tensor" } else { "a variable tensor" },
        ));
    }
    crate::error::check_limit(
        || format!("rank of tensor `{}`", name(tensor)),
        tensor.shape.len(),
        limits.rank_max,
    )?;
    let dims: Option<Vec<usize>> =
        tensor.shape.iter().map(|&d| usize::try_from(d).ok().filter(|&d| d > 0)).collect();
    let dims = dims.ok_or_else(|| {
        ModelError::tensor(
            &name(tensor),
            "every dimension is at least 1",
            format!("{:?}", tensor.shape),
        )
    })?;
    let what = || format!("elements of tensor `{}`", name(tensor));
    checked_product(what, &dims, limits.tensor_elements_max)?;
    Ok(dims)
}

fn one<T: Copy>(
    tensor: &schema::Tensor<'_>,
    values: &[T],
    rule: &'static str,
) -> Result<T, ModelError> {
    match values {
        [value] => Ok(*value),
        _ => Err(ModelError::tensor(&name(tensor), rule, format!("{} of them", values.len()))),
    }
}

/// An activation tensor without its batch axis.
pub(super) fn activation(
    tensor: &schema::Tensor<'_>,
    limits: &Limits,
) -> Result<Tensor, ModelError> {
    let (dtype, shift) = match tensor.element_type {
        tensor_type::INT8 => (Dtype::I8, 0),
        tensor_type::UINT8 => (Dtype::U8, 128),
        other => {
            return Err(ModelError::tensor(
                &name(tensor),
                "activations are int8 (9) or uint8 (3)",
                format!("element type {other}"),
            ));
        }
    };
    let dims = dimensions(tensor, limits)?;
    let Some((1, shape)) = dims.split_first().map(|(batch, rest)| (*batch, rest)) else {
        let rule = "the first axis is the batch, of size 1";
        return Err(ModelError::tensor(&name(tensor), rule, format!("shape {dims:?}")));
    };
    let scale = one(tensor, &tensor.scales, "activations have one scale")?;
    check_scale(&name(tensor), scale)?;
    let zero_point = one(tensor, &tensor.zero_points, "activations have one zero point")?;
    let held =
        zero_point.checked_sub(shift).and_then(|z| i8::try_from(z).ok()).ok_or_else(|| {
            ModelError::tensor(
                &name(tensor),
                "the zero point is a value of the element type",
                zero_point,
            )
        })?;
    Ok(Tensor {
        name: name(tensor),
        shape: if shape.is_empty() { vec![1] } else { shape.to_vec() },
        dtype,
        quantization: Quantization { scale, zero_point: i32::from(held) },
    })
}

/// A weight tensor; the zero points become those of decoded integers.
pub(super) fn weights(
    tensor: &schema::Tensor<'_>,
    data: &[u8],
    layout: WeightLayout,
    limits: &Limits,
) -> Result<WeightTensor, ModelError> {
    let name = name(tensor);
    let (encoding, shift) = match tensor.element_type {
        tensor_type::INT8 => (Encoding::TwosComplement, 0),
        tensor_type::UINT8 => (Encoding::OffsetBinary, 128),
        other => {
            return Err(ModelError::tensor(
                &name,
                "weights are int8 (9) or uint8 (3)",
                format!("element type {other}"),
            ));
        }
    };
    let dims = dimensions(tensor, limits)?;
    let elements: usize = dims.iter().product();
    if data.len() != elements {
        return Err(ModelError::tensor(
            &name,
            "the buffer holds one byte per weight",
            format!("{} bytes for {elements} weights", data.len()),
        ));
    }
    let (shape, codes, channel_axis) = match (layout, dims.as_slice()) {
        (WeightLayout::Conv, [_, _, _, _]) | (WeightLayout::FullyConnected, [_, _]) => {
            (dims, data.to_vec(), 0)
        }
        (WeightLayout::Depthwise, &[1, kh, kw, out]) => {
            (vec![out, kh, kw, 1], channels_first(data, out), 3)
        }
        _ => {
            return Err(ModelError::tensor(
                &name,
                "weights are [out, kh, kw, in], [1, kh, kw, out] (depthwise) or [out, in] (fully connected)",
                format!("{dims:?}"),
            ));
        }
    };
    if tensor.scales.len() > 1 && tensor.quantized_dimension != channel_axis {
        return Err(ModelError::tensor(
            &name,
            "scales belong to the axis of output channels",
            format!("axis {}", tensor.quantized_dimension),
        ));
    }
    let weights = WeightTensor {
        zero_points: zero_points(&name, tensor, shift)?,
        name,
        shape,
        bits: 8,
        encoding,
        codes,
        scales: tensor.scales.clone(),
    };
    check_weight_tensor(&weights, limits)?;
    Ok(weights)
}

fn zero_points(
    name: &str,
    tensor: &schema::Tensor<'_>,
    shift: i64,
) -> Result<Vec<i32>, ModelError> {
    tensor
        .zero_points
        .iter()
        .map(|&z| {
            let held = z.checked_sub(shift).and_then(|z| i8::try_from(z).ok());
            held.map(i32::from).ok_or_else(|| {
                ModelError::tensor(name, "zero points are values of the element type", z)
            })
        })
        .collect()
}

/// `[position, channel]` to `[channel, position]`.
fn channels_first(data: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|c| data.iter().skip(c).step_by(channels).copied()).collect()
}

/// An int32 bias of `channels` values.
pub(super) fn bias(
    tensor: &schema::Tensor<'_>,
    data: &[u8],
    channels: usize,
) -> Result<Vec<i32>, ModelError> {
    if tensor.element_type != tensor_type::INT32 {
        return Err(ModelError::tensor(
            &name(tensor),
            "biases are int32 (2)",
            format!("element type {}", tensor.element_type),
        ));
    }
    if Some(data.len()) != channels.checked_mul(4) {
        return Err(ModelError::tensor(
            &name(tensor),
            "a bias holds 4 bytes per output channel",
            format!("{} bytes for {channels} channels", data.len()),
        ));
    }
    Ok(data.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect())
}
