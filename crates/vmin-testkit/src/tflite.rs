//! Small TFLite files, written field by field.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

type Builder = FlatBufferBuilder<'static>;

/// Element types by the schema's number.
pub const FLOAT32: i8 = 0;
/// Biases.
pub const INT32: i8 = 2;
/// Unsigned codes.
pub const UINT8: i8 = 3;
/// Signed codes.
pub const INT8: i8 = 9;

/// A tensor; constant where it has data.
#[derive(Clone, Debug, Default)]
pub struct TfliteTensor {
    /// Dimensions, the batch first.
    pub shape: Vec<i32>,
    /// Element type.
    pub element_type: i8,
    /// One, or one per channel.
    pub scales: Vec<f32>,
    /// As many.
    pub zero_points: Vec<i64>,
    /// Axis of the scales.
    pub axis: i32,
    /// Constant bytes.
    pub data: Vec<u8>,
}

/// An operator: its number, its inputs (-1 is none) and its output.
#[derive(Clone, Debug)]
pub struct TfliteOperator {
    /// Number in the schema.
    pub number: i8,
    /// Tensors.
    pub inputs: Vec<i32>,
    /// Tensor.
    pub output: i32,
    /// Type of the options, and their fields by number.
    pub options: Option<(u8, Vec<(u16, Field)>)>,
}

/// A field of an operator's options.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// An enumeration.
    I8(i8),
    /// A size.
    I32(i32),
    /// A factor.
    F32(f32),
}

/// A file whose first tensor is the input and whose last one the output.
#[derive(Clone, Debug)]
pub struct Tflite {
    /// In order.
    pub tensors: Vec<TfliteTensor>,
    /// In order of execution.
    pub operators: Vec<TfliteOperator>,
    /// Zero points of 8 bytes lie at multiples of 4 only, as some writers leave them.
    pub unaligned: bool,
}

const fn slot(field: u16) -> u16 {
    4 + 2 * field
}

impl Tflite {
    /// A file of aligned vectors.
    #[must_use]
    pub const fn new(tensors: Vec<TfliteTensor>, operators: Vec<TfliteOperator>) -> Self {
        Self { tensors, operators, unaligned: false }
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut b = Builder::new();
        // Buffer 0 is empty by convention; tensor i has buffer i + 1.
        let mut buffers = vec![table(&mut b, |_| {})];
        for tensor in &self.tensors {
            let data = (!tensor.data.is_empty()).then(|| b.create_vector(&tensor.data));
            buffers.push(table(&mut b, |b| {
                if let Some(data) = data {
                    b.push_slot_always(slot(0), data);
                }
            }));
        }
        let buffers = b.create_vector(&buffers);
        let tensors: Vec<_> =
            (1..).zip(&self.tensors).map(|(i, t)| self.tensor(&mut b, i, t)).collect();
        let tensors = b.create_vector(&tensors);
        let operators: Vec<_> =
            (0..).zip(&self.operators).map(|(i, o)| operator(&mut b, i, o)).collect();
        let operators = b.create_vector(&operators);
        let inputs = b.create_vector(&[0i32]);
        let outputs = b.create_vector(&[self.tensors.len() as i32 - 1]);
        let subgraph = table(&mut b, |b| {
            b.push_slot_always(slot(0), tensors);
            b.push_slot_always(slot(1), inputs);
            b.push_slot_always(slot(2), outputs);
            b.push_slot_always(slot(3), operators);
        });
        let subgraphs = b.create_vector(&[subgraph]);
        let codes: Vec<_> = self.operators.iter().map(|o| code(&mut b, o.number)).collect();
        let codes = b.create_vector(&codes);
        let model = table(&mut b, |b| {
            b.push_slot_always(slot(0), 3u32);
            b.push_slot_always(slot(1), codes);
            b.push_slot_always(slot(2), subgraphs);
            b.push_slot_always(slot(4), buffers);
        });
        b.finish(model, Some("TFL3"));
        b.finished_data().to_vec()
    }

    fn tensor(&self, b: &mut Builder, buffer: u32, tensor: &TfliteTensor) -> WIPOffset<Table> {
        let quantization = (!tensor.scales.is_empty()).then(|| {
            let scales = b.create_vector(&tensor.scales);
            let zero_points = self.zero_points(b, &tensor.zero_points);
            table(b, |b| {
                b.push_slot_always(slot(2), scales);
                b.push_slot_always(slot(3), zero_points);
                b.push_slot_always(slot(6), tensor.axis);
            })
        });
        let shape = b.create_vector(&tensor.shape);
        let name = b.create_string(&format!("t{}", buffer - 1));
        table(b, |b| {
            b.push_slot_always(slot(0), shape);
            b.push_slot_always(slot(1), tensor.element_type);
            b.push_slot_always(slot(2), buffer);
            b.push_slot_always(slot(3), name);
            if let Some(quantization) = quantization {
                b.push_slot_always(slot(4), quantization);
            }
        })
    }

    /// Built from its end: after a length of 4 bytes, 8-byte numbers are unaligned where the bytes from them to
    /// the end of the file are not a multiple of 8.
    fn zero_points(&self, b: &mut Builder, values: &[i64]) -> WIPOffset<Vec<i64>> {
        if !self.unaligned {
            return WIPOffset::new(b.create_vector(values).value());
        }
        b.start_vector::<u32>(2 * values.len() + 1);
        if b.unfinished_data().len() % 8 != 4 {
            b.push(0u32);
        }
        for value in values.iter().rev() {
            b.push((value >> 32) as u32);
            b.push(*value as u32);
        }
        WIPOffset::new(b.end_vector::<u32>(values.len()).value())
    }
}

struct Table;

fn table(b: &mut Builder, fields: impl FnOnce(&mut Builder)) -> WIPOffset<Table> {
    let start = b.start_table();
    fields(b);
    WIPOffset::new(b.end_table(start).value())
}

fn code(b: &mut Builder, number: i8) -> WIPOffset<Table> {
    table(b, |b| {
        b.push_slot_always(slot(0), number);
        b.push_slot_always(slot(2), 1i32);
        b.push_slot_always(slot(3), i32::from(number));
    })
}

fn operator(b: &mut Builder, code: u32, operator: &TfliteOperator) -> WIPOffset<Table> {
    let inputs = b.create_vector(&operator.inputs);
    let outputs = b.create_vector(&[operator.output]);
    let options = operator.options.as_ref().map(|(number, fields)| {
        let options = table(b, |b| {
            for &(field, value) in fields {
                match value {
                    Field::I8(value) => b.push_slot_always(slot(field), value),
                    Field::I32(value) => b.push_slot_always(slot(field), value),
                    Field::F32(value) => b.push_slot_always(slot(field), value),
                }
            }
        });
        (*number, WIPOffset::<UnionWIPOffset>::new(options.value()))
    });
    table(b, |b| {
        b.push_slot_always(slot(0), code);
        b.push_slot_always(slot(1), inputs);
        b.push_slot_always(slot(2), outputs);
        if let Some((number, options)) = options {
            b.push_slot_always(slot(3), number);
            b.push_slot_always(slot(4), options);
        }
    })
}

impl TfliteTensor {
    /// Codes of one scale; constant where it has data.
    #[must_use]
    pub fn codes(
        element_type: i8,
        shape: &[i32],
        scale: f32,
        zero_point: i64,
        data: &[u8],
    ) -> Self {
        Self {
            shape: shape.to_vec(),
            element_type,
            scales: vec![scale],
            zero_points: vec![zero_point],
            axis: 0,
            data: data.to_vec(),
        }
    }

    /// A bias.
    #[must_use]
    pub fn bias(values: &[i32]) -> Self {
        Self {
            shape: vec![values.len() as i32],
            element_type: INT32,
            scales: vec![1.0; values.len()],
            zero_points: vec![0; values.len()],
            axis: 0,
            data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    /// Real values.
    #[must_use]
    pub fn float(shape: &[i32]) -> Self {
        Self { shape: shape.to_vec(), element_type: FLOAT32, ..Self::default() }
    }
}

impl TfliteOperator {
    /// With default options of this type, if it has any.
    #[must_use]
    pub fn new(number: i8, inputs: &[i32], output: i32, options: Option<u8>) -> Self {
        let options = options.map(|number| (number, Vec::new()));
        Self { number, inputs: inputs.to_vec(), output, options }
    }

    /// FULLY_CONNECTED.
    #[must_use]
    pub fn fully_connected(inputs: &[i32], output: i32) -> Self {
        Self::new(9, inputs, output, Some(8))
    }

    /// CONV_2D of stride 1 without padding.
    #[must_use]
    pub fn conv(inputs: &[i32], output: i32) -> Self {
        let options = vec![(0, Field::I8(1)), (1, Field::I32(1)), (2, Field::I32(1))];
        Self { options: Some((1, options)), ..Self::new(3, inputs, output, None) }
    }

    /// SOFTMAX.
    #[must_use]
    pub fn softmax(input: i32, output: i32, beta: f32) -> Self {
        let options = vec![(0, Field::F32(beta))];
        Self { options: Some((9, options)), ..Self::new(25, &[input], output, None) }
    }
}
