//! The slots of the public TFLite schema that vmin uses.
//!
//! A slot is the byte offset in a table's vtable, `4 + 2 * field id`. Fields that do not bear on
//! integer inference (metadata, signatures, min/max of a quantization) are not read.

use flatbuffers::{InvalidFlatbuffer, VerifierOptions};

use super::reader::{Field, Reader};

type Result<T> = std::result::Result<T, InvalidFlatbuffer>;

/// Element types of a tensor, by the schema's number.
pub(super) mod tensor_type {
    pub(crate) const FLOAT32: i8 = 0;
    pub(crate) const INT32: i8 = 2;
    pub(crate) const UINT8: i8 = 3;
    pub(crate) const INT8: i8 = 9;
}

/// A file as its tables.
pub(super) struct Model<'b> {
    pub(super) version: u32,
    pub(super) operator_codes: Vec<OperatorCode>,
    pub(super) subgraphs: Vec<SubGraph<'b>>,
    pub(super) buffers: Vec<Buffer<'b>>,
}

/// Which operator an index means.
pub(super) struct OperatorCode {
    pub(super) builtin: i32,
    pub(super) custom: String,
}

/// One function.
pub(super) struct SubGraph<'b> {
    pub(super) name: &'b [u8],
    pub(super) tensors: Vec<Tensor<'b>>,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    pub(super) operators: Vec<Operator>,
}

/// A tensor, constant where its buffer has bytes.
pub(super) struct Tensor<'b> {
    pub(super) name: &'b [u8],
    pub(super) shape: Vec<i32>,
    pub(super) element_type: i8,
    pub(super) buffer: u32,
    pub(super) is_variable: bool,
    pub(super) is_sparse: bool,
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i64>,
    pub(super) quantized_dimension: i32,
}

/// Constant bytes.
pub(super) struct Buffer<'b> {
    pub(super) data: &'b [u8],
    /// The bytes lie outside the flatbuffer (files above 2 GB).
    pub(super) is_external: bool,
}

/// One call of an operator.
pub(super) struct Operator {
    pub(super) code: u32,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    pub(super) options: Options,
}

/// The settings of an operator, defaults filled in.
pub(super) enum Options {
    Conv2d {
        padding: i8,
        stride: [i32; 2],
        activation: i8,
        dilation: [i32; 2],
    },
    Depthwise {
        padding: i8,
        stride: [i32; 2],
        multiplier: i32,
        activation: i8,
        dilation: [i32; 2],
    },
    Pool {
        padding: i8,
        stride: [i32; 2],
        window: [i32; 2],
        activation: i8,
    },
    FullyConnected {
        activation: i8,
        weights_format: i8,
    },
    Softmax {
        beta: f32,
    },
    Add {
        activation: i8,
    },
    /// No table, or one of a type that is not read here.
    Other(u8),
}

/// Reads the whole file.
pub(super) fn read<'b>(bytes: &'b [u8], options: &VerifierOptions) -> Result<Model<'b>> {
    let mut r = Reader::new(options, bytes);
    let root = r.root()?;
    let [version, codes, subgraphs, buffers] = r.table(root, [4, 6, 8, 12])?;
    Ok(Model {
        version: r.u32(version, 0)?,
        operator_codes: each(&mut r, codes, operator_code)?,
        subgraphs: each(&mut r, subgraphs, subgraph)?,
        buffers: each(&mut r, buffers, buffer)?,
    })
}

fn each<'o, 'b, T>(
    r: &mut Reader<'o, 'b>,
    field: Field,
    read: impl Fn(&mut Reader<'o, 'b>, usize) -> Result<T>,
) -> Result<Vec<T>> {
    let positions = r.tables(field)?;
    positions.into_iter().map(|at| read(r, at)).collect()
}

fn operator_code(r: &mut Reader<'_, '_>, at: usize) -> Result<OperatorCode> {
    let [narrow, custom, wide] = r.table(at, [4, 6, 10])?;
    // The number outgrew a byte once; old files have only the byte, new ones repeat it there.
    let builtin = i32::from(r.i8(narrow, 0)?).max(r.i32(wide, 0)?);
    let custom = String::from_utf8_lossy(r.bytes(custom)?).into_owned();
    Ok(OperatorCode { builtin, custom })
}

fn buffer<'b>(r: &mut Reader<'_, 'b>, at: usize) -> Result<Buffer<'b>> {
    let [data, offset, size] = r.table(at, [4, 6, 8])?;
    let is_external = r.u64(offset, 0)? > 1 || r.u64(size, 0)? > 1;
    Ok(Buffer { data: r.bytes(data)?, is_external })
}

fn subgraph<'b>(r: &mut Reader<'_, 'b>, at: usize) -> Result<SubGraph<'b>> {
    let [tensors, inputs, outputs, operators, name] = r.table(at, [4, 6, 8, 10, 12])?;
    Ok(SubGraph {
        name: r.bytes(name)?,
        tensors: each(r, tensors, tensor)?,
        inputs: r.i32s(inputs)?,
        outputs: r.i32s(outputs)?,
        operators: each(r, operators, operator)?,
    })
}

fn tensor<'b>(r: &mut Reader<'_, 'b>, at: usize) -> Result<Tensor<'b>> {
    let [shape, element_type, buffer, name, quantization, variable, sparsity] =
        r.table(at, [4, 6, 8, 10, 12, 14, 16])?;
    let [scales, zero_points, dimension] = match r.child(quantization)? {
        Some(at) => r.table(at, [8, 10, 16])?,
        None => [None; 3],
    };
    Ok(Tensor {
        name: r.bytes(name)?,
        shape: r.i32s(shape)?,
        element_type: r.i8(element_type, 0)?,
        buffer: r.u32(buffer, 0)?,
        is_variable: r.u8(variable, 0)? != 0,
        is_sparse: sparsity.is_some(),
        scales: r.f32s(scales)?,
        zero_points: r.i64s(zero_points)?,
        quantized_dimension: r.i32(dimension, 0)?,
    })
}

fn operator(r: &mut Reader<'_, '_>, at: usize) -> Result<Operator> {
    let [code, inputs, outputs, options_type, options] = r.table(at, [4, 6, 8, 10, 12])?;
    let options_type = r.u8(options_type, 0)?;
    let options_at = r.child(options)?;
    Ok(Operator {
        code: r.u32(code, 0)?,
        inputs: r.i32s(inputs)?,
        outputs: r.i32s(outputs)?,
        options: match options_at {
            Some(at) => read_options(r, options_type, at)?,
            None => Options::Other(options_type),
        },
    })
}

fn read_options(r: &mut Reader<'_, '_>, options_type: u8, at: usize) -> Result<Options> {
    Ok(match options_type {
        1 => {
            let [padding, sw, sh, activation, dw, dh] = r.table(at, [4, 6, 8, 10, 12, 14])?;
            Options::Conv2d {
                padding: r.i8(padding, 0)?,
                stride: [r.i32(sh, 0)?, r.i32(sw, 0)?],
                activation: r.i8(activation, 0)?,
                dilation: [r.i32(dh, 1)?, r.i32(dw, 1)?],
            }
        }
        2 => {
            let [padding, sw, sh, multiplier, activation, dw, dh] =
                r.table(at, [4, 6, 8, 10, 12, 14, 16])?;
            Options::Depthwise {
                padding: r.i8(padding, 0)?,
                stride: [r.i32(sh, 0)?, r.i32(sw, 0)?],
                multiplier: r.i32(multiplier, 0)?,
                activation: r.i8(activation, 0)?,
                dilation: [r.i32(dh, 1)?, r.i32(dw, 1)?],
            }
        }
        5 => {
            let [padding, sw, sh, fw, fh, activation] = r.table(at, [4, 6, 8, 10, 12, 14])?;
            Options::Pool {
                padding: r.i8(padding, 0)?,
                stride: [r.i32(sh, 0)?, r.i32(sw, 0)?],
                window: [r.i32(fh, 0)?, r.i32(fw, 0)?],
                activation: r.i8(activation, 0)?,
            }
        }
        8 => {
            let [activation, format] = r.table(at, [4, 6])?;
            Options::FullyConnected {
                activation: r.i8(activation, 0)?,
                weights_format: r.i8(format, 0)?,
            }
        }
        9 => {
            let [beta] = r.table(at, [4])?;
            Options::Softmax { beta: r.f32(beta, 0.0)? }
        }
        11 => {
            let [activation] = r.table(at, [4])?;
            Options::Add { activation: r.i8(activation, 0)? }
        }
        other => Options::Other(other),
    })
}
