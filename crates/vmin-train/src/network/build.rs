//! Builds a network with shapes and initial parameters from the layers of a recipe.

use vmin_nn::PoolKind;

use super::group_norm::usual_groups;
use super::{
    BatchNorm, Conv2d, FullyConnected, GroupNorm, Layer, Network, Parameter, ParameterId,
    ParameterKind, Pool2d, Statistics, Step, ValueId, zoo,
};
use crate::random::{Purpose, Stream};
use crate::real::Real;
use crate::{LayerSpec, TrainError};

/// Most blocks per stage of a residual network.
const BLOCKS_MAX: usize = 1000;
/// Most trained values of a network.
const PARAMETERS_MAX: usize = 1 << 28;
/// Most activation values per image.
const VALUES_MAX: usize = 1 << 26;

impl Network {
    /// Builds the layers for images of shape `input` (`[height, width, channels]`). Initial weights are He-normal
    /// (variance `2 / inputs of one output`), biases 0.
    ///
    /// # Errors
    ///
    /// [`TrainError::Layer`] if a layer does not fit, [`TrainError::TooLarge`] beyond 2^28
    /// parameters or 2^26 activation values per image.
    pub fn build(layers: &[LayerSpec], input: [usize; 3], seed: u64) -> Result<Self, TrainError> {
        let mut builder = Builder {
            network: Self {
                values: Vec::new(),
                steps: Vec::new(),
                parameters: Vec::new(),
                statistics: Vec::new(),
                limits: Vec::new(),
            },
            seed,
            parameter_count: 0,
            value_count: 0,
        };
        let first = builder.value(input)?;
        builder.chain(layers, first)?;
        Ok(builder.network)
    }
}

struct Builder {
    network: Network,
    seed: u64,
    parameter_count: usize,
    value_count: usize,
}

impl Builder {
    fn chain(&mut self, layers: &[LayerSpec], from: ValueId) -> Result<ValueId, TrainError> {
        layers.iter().try_fold(from, |value, layer| self.layer(layer, value))
    }

    fn layer(&mut self, spec: &LayerSpec, from: ValueId) -> Result<ValueId, TrainError> {
        let input = self.network.values[from.0];
        match *spec {
            LayerSpec::Conv2d { channels, kernel, stride, bias } => {
                self.conv2d(from, channels, kernel, stride, bias)
            }
            LayerSpec::BatchNorm => self.batch_norm(from),
            LayerSpec::GroupNorm { groups } => self.group_norm(from, groups),
            LayerSpec::Lenet { width, classes, norm } => {
                self.chain(&zoo::lenet(width, classes, norm), from)
            }
            LayerSpec::Simplenet { width, classes, norm } => {
                self.chain(&zoo::simplenet(width, classes, norm, input[0]), from)
            }
            LayerSpec::Subsample { channels, stride } => self.subsample(from, channels, stride),
            LayerSpec::Resnet { ref blocks, width, classes, norm, shortcut } => {
                if blocks.iter().any(|count| !(1..=BLOCKS_MAX).contains(count)) {
                    return Err(self.refuse("resnet", input, "a stage has 1 to 1000 blocks"));
                }
                self.chain(&zoo::resnet(blocks, width, classes, norm, shortcut), from)
            }
            LayerSpec::Relu => self.step("relu", Layer::Relu, vec![from], input),
            LayerSpec::MaxPool { window } => self.pool(from, PoolKind::Max, [window; 2]),
            LayerSpec::AveragePool { window } => self.pool(from, PoolKind::Average, [window; 2]),
            LayerSpec::GlobalAveragePool => {
                self.pool(from, PoolKind::Average, [input[0], input[1]])
            }
            LayerSpec::Residual { ref body, ref shortcut } => {
                if body.is_empty() {
                    return Err(self.refuse("residual", input, "its body has no layer"));
                }
                let left = self.chain(body, from)?;
                let right = self.chain(shortcut, from)?;
                let shape = self.network.values[left.0];
                if shape != self.network.values[right.0] {
                    return Err(self.refuse("residual", input, "its branches differ in shape"));
                }
                self.step("add", Layer::Add, vec![left, right], shape)
            }
            LayerSpec::FullyConnected { features } => self.fully_connected(from, features),
        }
    }

    fn conv2d(
        &mut self,
        from: ValueId,
        channels: usize,
        kernel: usize,
        stride: usize,
        bias: bool,
    ) -> Result<ValueId, TrainError> {
        let input = self.network.values[from.0];
        if channels == 0 || stride == 0 || kernel.is_multiple_of(2) {
            let reason = "channels and stride must be 1 or more and the kernel odd";
            return Err(self.refuse("conv2d", input, reason));
        }
        let padding = kernel / 2;
        let cells = |size: usize| {
            let padded = size.checked_add(2 * padding)?;
            Some(padded.checked_sub(kernel)? / stride + 1)
        };
        let (Some(height), Some(width)) = (cells(input[0]), cells(input[1])) else {
            return Err(self.refuse("conv2d", input, "the kernel is too large"));
        };
        let output = [height, width, channels];
        let (weights, bias) =
            self.parameters("conv2d", vec![channels, kernel, kernel, input[2]], bias)?;
        let layer = Conv2d { weights, bias, input, output, kernel, stride, padding };
        self.step("conv2d", Layer::Conv2d(layer), vec![from], output)
    }

    /// A 1x1 convolution whose weights are 1 from each input channel to its output channel.
    fn subsample(
        &mut self,
        from: ValueId,
        channels: usize,
        stride: usize,
    ) -> Result<ValueId, TrainError> {
        let input = self.network.values[from.0];
        let inputs = input[2];
        if stride == 0 || channels < inputs {
            let reason = "the stride must be 1 or more and channels at least those of the input";
            return Err(self.refuse("subsample", input, reason));
        }
        let output = [input[0].div_ceil(stride), input[1].div_ceil(stride), channels];
        let (weights, _) = self.parameters("subsample", vec![channels, 1, 1, inputs], false)?;
        let first = (channels - inputs) / 2;
        for (index, value) in self.network.parameters[weights.0].values.iter_mut().enumerate() {
            let (to, of) = (index / inputs, index % inputs);
            *value = if to == first + of { 1.0 } else { 0.0 };
        }
        let layer = Conv2d { weights, bias: None, input, output, kernel: 1, stride, padding: 0 };
        self.step("subsample", Layer::Conv2d(layer), vec![from], output)
    }

    fn fully_connected(&mut self, from: ValueId, features: usize) -> Result<ValueId, TrainError> {
        let input = self.network.values[from.0];
        if features == 0 {
            return Err(self.refuse("fully_connected", input, "it has no outputs"));
        }
        let inputs = self.network.elements(from);
        let (weights, bias) = self.parameters("fully_connected", vec![features, inputs], true)?;
        let bias = bias.expect("asked for");
        let layer = FullyConnected { weights, bias, inputs, outputs: features };
        let shape = [1, 1, features];
        self.step("fully_connected", Layer::FullyConnected(layer), vec![from], shape)
    }

    fn pool(
        &mut self,
        from: ValueId,
        kind: PoolKind,
        window: [usize; 2],
    ) -> Result<ValueId, TrainError> {
        let input = self.network.values[from.0];
        let fits = |axis: usize| (1..=input[axis]).contains(&window[axis]);
        if !fits(0) || !fits(1) {
            return Err(self.refuse("pool", input, "the window must lie in the image"));
        }
        let name = match kind {
            PoolKind::Average => "average_pool",
            PoolKind::Max => "max_pool",
        };
        let layer = Pool2d { kind, input, window };
        let output = layer.output();
        self.step(name, Layer::Pool2d(layer), vec![from], output)
    }

    fn step(
        &mut self,
        kind: &str,
        layer: Layer,
        inputs: Vec<ValueId>,
        shape: [usize; 3],
    ) -> Result<ValueId, TrainError> {
        let output = self.value(shape)?;
        let name = format!("{kind}_{}", self.network.steps.len());
        self.network.steps.push(Step { name, layer, inputs, output });
        Ok(output)
    }

    fn value(&mut self, shape: [usize; 3]) -> Result<ValueId, TrainError> {
        let size = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let found = size.and_then(|size| self.value_count.checked_add(size)).unwrap_or(usize::MAX);
        if found > VALUES_MAX || size == Some(0) {
            let what = "activation values per image";
            return Err(TrainError::TooLarge { what, found, limit: VALUES_MAX });
        }
        self.value_count = found;
        self.network.values.push(shape);
        self.network.limits.push([f32::NEG_INFINITY, f32::INFINITY]);
        Ok(ValueId(self.network.values.len() - 1))
    }

    /// Adds weights of this shape (outputs first) and optionally a bias per output.
    fn parameters(
        &mut self,
        kind: &str,
        shape: Vec<usize>,
        bias: bool,
    ) -> Result<(ParameterId, Option<ParameterId>), TrainError> {
        let outputs = shape[0];
        let inputs =
            shape[1..].iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let size = inputs.and_then(|inputs| inputs.checked_mul(outputs));
        let found = size
            .and_then(|size| size.checked_add(outputs)?.checked_add(self.parameter_count))
            .unwrap_or(usize::MAX);
        let (Some(inputs), Some(size), true) = (inputs, size, found <= PARAMETERS_MAX) else {
            let what = "parameters";
            return Err(TrainError::TooLarge { what, found, limit: PARAMETERS_MAX });
        };
        self.parameter_count = found;
        let id = self.network.parameters.len();
        let mut stream = Stream::new(self.seed, Purpose::Initialization, id);
        let deviation = libm::sqrt(2.0 / inputs as f64);
        let values = (0..size).map(|_| f32::of(deviation * stream.normal())).collect();
        let layer = format!("{kind}_{}", self.network.steps.len());
        self.network.parameters.push(Parameter {
            name: format!("{layer}/weight"),
            kind: ParameterKind::Weight,
            shape,
            values,
        });
        let bias = bias.then(|| self.zeros(format!("{layer}/bias"), ParameterKind::Bias, outputs));
        Ok((ParameterId(id), bias))
    }

    /// Adds a parameter of zeros whose size was checked.
    fn zeros(&mut self, name: String, kind: ParameterKind, size: usize) -> ParameterId {
        let parameter = Parameter { name, kind, shape: vec![size], values: vec![0.0; size] };
        self.network.parameters.push(parameter);
        ParameterId(self.network.parameters.len() - 1)
    }

    /// Adds scale and shift of a normalization.
    fn norm(
        &mut self,
        kind: &str,
        channels: usize,
    ) -> Result<(ParameterId, ParameterId), TrainError> {
        let found = channels.saturating_mul(2).saturating_add(self.parameter_count);
        if found > PARAMETERS_MAX {
            return Err(TrainError::TooLarge { what: "parameters", found, limit: PARAMETERS_MAX });
        }
        self.parameter_count = found;
        let layer = format!("{kind}_{}", self.network.steps.len());
        let scale = self.zeros(format!("{layer}/scale"), ParameterKind::Scale, channels);
        let shift = self.zeros(format!("{layer}/shift"), ParameterKind::Bias, channels);
        Ok((scale, shift))
    }

    fn group_norm(&mut self, from: ValueId, groups: Option<usize>) -> Result<ValueId, TrainError> {
        let shape = self.network.values[from.0];
        let groups = groups.unwrap_or_else(|| usual_groups(shape[2]));
        if groups == 0 || !shape[2].is_multiple_of(groups) {
            return Err(self.refuse("group_norm", shape, "its groups must divide the channels"));
        }
        let (scale, shift) = self.norm("group_norm", shape[2])?;
        let norm = GroupNorm { scale, shift, shape, groups };
        self.step("group_norm", Layer::GroupNorm(norm), vec![from], shape)
    }

    fn batch_norm(&mut self, from: ValueId) -> Result<ValueId, TrainError> {
        let input = self.network.values[from.0];
        let channels = input[2];
        let (scale, shift) = self.norm("batch_norm", channels)?;
        let statistics = self.network.statistics.len();
        self.network.statistics.push(Statistics::standard(channels));
        let norm = BatchNorm { scale, shift, statistics, channels };
        self.step("batch_norm", Layer::BatchNorm(norm), vec![from], input)
    }

    fn refuse(&self, kind: &'static str, input: [usize; 3], reason: &'static str) -> TrainError {
        TrainError::Layer { layer: self.network.steps.len(), kind, input, reason }
    }
}
