//! The kernels of each layer, forward and backward, and the values in between.

use vmin_nn::PoolKind;
use vmin_train::engine::{Forward, Gradients, Normalization, Pass};
use vmin_train::network::{Layer, Network, Pool2d, Step, ValueId};
use vmin_train::{EngineError, Real};

use crate::device::{Arguments, At, Device, Kernel, Sizes, To, int};
use crate::norms::{self, Grouped, Shape};
use crate::products::Product;

/// The values of a pass on the device, `images * elements` each.
pub(crate) struct Values<D: Device> {
    parameters: Vec<D::Floats>,
    /// As the steps computed them.
    made: Vec<Option<D::Floats>>,
    /// As the following steps read them; `None` where they are as computed.
    read: Vec<Option<D::Floats>>,
    /// Elements of each value that have no derivative.
    cut_off: Vec<Vec<usize>>,
    /// Derivatives of the loss by the values as read.
    derivatives: Vec<Option<D::Floats>>,
    patches: Option<D::Floats>,
    images: usize,
}

impl<D: Device> Default for Values<D> {
    fn default() -> Self {
        Self {
            parameters: Vec::new(),
            made: Vec::new(),
            read: Vec::new(),
            cut_off: Vec::new(),
            derivatives: Vec::new(),
            patches: None,
            images: 0,
        }
    }
}

impl<D: Device> Values<D> {
    pub(crate) fn take_parameters(
        &mut self,
        device: &mut D,
        parameters: &[Vec<f32>],
    ) -> Result<(), EngineError> {
        self.parameters.clear();
        for values in parameters {
            self.parameters.push(device.upload(values)?);
        }
        Ok(())
    }

    /// A value as the step computed it.
    pub(crate) fn made(&self, device: &mut D, value: ValueId) -> Result<Vec<f32>, EngineError> {
        device.download(held(&self.made, value))
    }

    /// A value as the following steps read it.
    pub(crate) fn read(&self, device: &mut D, value: ValueId) -> Result<Vec<f32>, EngineError> {
        device.download(self.seen(value))
    }

    fn seen(&self, value: ValueId) -> &D::Floats {
        self.read[value.0].as_ref().unwrap_or_else(|| held(&self.made, value))
    }

    fn shape(&self, network: &Network, value: ValueId, per_image: bool) -> Shape {
        Shape { images: self.images, value: network.values[value.0], per_image }
    }

    /// Computes all values of the batch.
    pub(crate) fn forward(
        &mut self,
        device: &mut D,
        pass: &Pass<'_>,
    ) -> Result<Forward<f32>, EngineError> {
        let Pass { network, batch, .. } = pass;
        self.images = batch.labels.len();
        self.made.resize_with(network.values.len(), || None);
        self.read.resize_with(network.values.len(), || None);
        self.read.fill_with(|| None);
        self.cut_off.clear();
        self.cut_off.resize_with(network.values.len(), Vec::new);
        self.made[0] = Some(device.upload(batch.inputs)?);
        let mut found = Forward { moments: Vec::new(), statistics: Vec::new() };
        if let Normalization::Constant(moments) = pass.normalization {
            found.moments = moments.to_vec();
        }
        for step in &network.steps {
            let len = self.images * network.elements(step.output);
            let mut y = match self.made[step.output.0].take() {
                Some(buffer) if D::len(&buffer) == len => buffer,
                _ => device.floats(len)?,
            };
            let mut patches = self.patches.take();
            self.step(device, pass, step, &mut found, &mut patches, &mut y)?;
            self.patches = patches;
            if pass.errs_in_sums(step.output) {
                let x = device.download(self.seen(step.inputs[0]))?;
                let mut made = device.download(&y)?;
                self.cut_off[step.output.0] = pass.read_sums(step, &x, &mut made);
                y = device.upload(&made)?;
            }
            let limits = network.limits[step.output.0];
            if limits[1].is_finite() {
                let limits = device.upload(&limits)?;
                let arguments = elementwise(&mut y, [None, Some(&limits), None]);
                device.launch(Kernel::Cut, len, arguments, Sizes::default())?;
            }
            self.made[step.output.0] = Some(y);
            if pass.changes(step.output) {
                let read = pass.read_back(step.output, &self.made(device, step.output)?);
                let read = read.map(|read| device.upload(&read)).transpose()?;
                self.read[step.output.0] = read;
            }
        }
        Ok(found)
    }

    fn step(
        &self,
        device: &mut D,
        pass: &Pass<'_>,
        step: &Step,
        found: &mut Forward<f32>,
        patches: &mut Option<D::Floats>,
        y: &mut D::Floats,
    ) -> Result<(), EngineError> {
        let Pass { network, parameters, normalization, .. } = pass;
        let x = self.seen(step.inputs[0]);
        let len = D::len(y);
        match &step.layer {
            Layer::Conv2d(layer) => {
                let product = Product::conv(layer);
                product.forward(device, &self.parameters, (x, self.images), patches, y)
            }
            Layer::FullyConnected(layer) => {
                let product = Product::fully_connected(layer);
                product.forward(device, &self.parameters, (x, self.images), patches, y)
            }
            Layer::BatchNorm(norm) => {
                let shape = self.shape(network, step.output, false);
                if matches!(normalization, Normalization::OfBatch) {
                    let (moments, running) = norms::batch_moments(device, norm, &shape, x)?;
                    found.moments.push(moments);
                    found.statistics.push(running);
                }
                let [scale, shift] = [norm.scale, norm.shift].map(|id| &parameters[id.0][..]);
                let lines = norm.lines(scale, shift, &found.moments[norm.statistics]);
                norms::lines(device, &shape, x, lines.each_ref().map(Vec::as_slice), y)
            }
            Layer::GroupNorm(norm) => {
                let shape = self.shape(network, step.output, true);
                let groups = Grouped::measured(device, norm, &shape, x)?;
                let [scale, shift] = [norm.scale, norm.shift].map(|id| &parameters[id.0][..]);
                let lines = groups.lines(scale, shift);
                norms::lines(device, &shape, x, lines.each_ref().map(Vec::as_slice), y)
            }
            Layer::Relu => {
                let arguments = elementwise(y, [Some(x), None, None]);
                device.launch(Kernel::Relu, len, arguments, Sizes::default())
            }
            Layer::Add => {
                let arguments = elementwise(y, [Some(x), Some(self.seen(step.inputs[1])), None]);
                device.launch(Kernel::Add, len, arguments, Sizes::default())
            }
            Layer::Pool2d(layer) => {
                let arguments = elementwise(y, [Some(x), None, None]);
                device.launch(Kernel::Pool, len, arguments, windows(layer))
            }
        }
    }

    /// The gradient of the loss from its derivatives by the logits.
    pub(crate) fn backward(
        &mut self,
        device: &mut D,
        pass: &Pass<'_>,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
        dlogits: &[f32],
    ) -> Result<Gradients<f32>, EngineError> {
        let network = pass.network;
        self.derivatives.resize_with(network.values.len(), || None);
        for (value, buffer) in self.derivatives.iter_mut().enumerate() {
            let len = self.images * network.elements(ValueId(value));
            match buffer {
                Some(buffer) if D::len(buffer) == len => device.clear(buffer)?,
                _ => *buffer = Some(device.floats(len)?),
            }
        }
        self.derivatives[network.output().0] = Some(device.upload(dlogits)?);
        let mut gradients: Gradients<f32> =
            pass.parameters.iter().map(|values| vec![0.0; values.len()]).collect();
        for step in network.steps.iter().rev() {
            let mut dy = self.derivatives[step.output.0].take().expect("made above");
            let cut_off = &self.cut_off[step.output.0];
            if !cut_off.is_empty() {
                let mut values = device.download(&dy)?;
                cut_off.iter().for_each(|&element| values[element] = 0.0);
                dy = device.upload(&values)?;
            }
            let limits = network.limits[step.output.0];
            if limits[1].is_finite() {
                let limits = device.upload(&limits)?;
                let y = held(&self.made, step.output);
                let (len, arguments) = (D::len(&dy), [Some(y), Some(&limits), None]);
                let arguments = elementwise(&mut dy, arguments);
                device.launch(Kernel::CutBack, len, arguments, Sizes::default())?;
            }
            let from = step.inputs[0].0;
            let mut dx = self.derivatives[from].take().expect("made above");
            let mut patches = self.patches.take();
            let back = Back { pass, forward, through, step };
            self.step_back(device, &back, &dy, &mut dx, &mut patches, &mut gradients)?;
            self.patches = patches;
            self.derivatives[from] = Some(dx);
            if let (Layer::Add, Some(other)) = (&step.layer, step.inputs.get(1)) {
                let other = self.derivatives[other.0].as_mut().expect("made above");
                accumulate(device, &dy, other)?;
            }
            self.derivatives[step.output.0] = Some(dy);
        }
        Ok(gradients)
    }

    /// The derivatives by the images after a [`Self::backward`] that computed them.
    pub(crate) fn image_gradient(&self, device: &mut D) -> Result<Vec<f32>, EngineError> {
        device.download(held(&self.derivatives, ValueId(0)))
    }

    /// Adds to `dx` and sets the gradients of the step's parameters.
    fn step_back(
        &self,
        device: &mut D,
        back: &Back<'_>,
        dy: &D::Floats,
        dx: &mut D::Floats,
        patches: &mut Option<D::Floats>,
        gradients: &mut Gradients<f32>,
    ) -> Result<(), EngineError> {
        let Back { pass: Pass { network, parameters, normalization, .. }, step, .. } = back;
        let (from, x) = (step.inputs[0], self.seen(step.inputs[0]));
        let len = D::len(dx);
        let product = match &step.layer {
            Layer::Conv2d(layer) => Product::conv(layer),
            Layer::FullyConnected(layer) => Product::fully_connected(layer),
            Layer::BatchNorm(norm) => {
                let shape = self.shape(network, from, false);
                let moments = &back.forward.moments[norm.statistics];
                let pairs: Vec<_> = moments.pairs().collect();
                let sums = norms::products(device, &shape, (x, dy), &pairs)?;
                let mut sums = norms::over_images(&sums, norm.channels);
                for (parameter, which) in [(norm.shift, 0), (norm.scale, 1)] {
                    gradients[parameter.0] = sums.iter().map(|sums| f32::of(sums[which])).collect();
                    // The derivatives by the moments need the same sums as those by shift and scale.
                    let others = back.through.map(|gradients| &gradients[parameter.0]);
                    let others = others.into_iter().flatten();
                    sums.iter_mut()
                        .zip(others)
                        .for_each(|(s, &other)| s[which] += f64::from(other));
                }
                let scale = &parameters[norm.scale.0];
                let lines = match normalization {
                    Normalization::OfBatch => {
                        let [height, width, _] = shape.value;
                        norm.lines_back(scale, moments, (&sums, self.images * height * width))
                    }
                    Normalization::Constant(_) => {
                        norm.factors(scale, moments).into_iter().map(|f| [f, 0.0, 0.0]).collect()
                    }
                };
                return norms::lines_back(device, &shape, (x, dy), &lines, dx);
            }
            Layer::GroupNorm(norm) => {
                let shape = self.shape(network, from, true);
                let groups = Grouped::measured(device, norm, &shape, x)?;
                let sums = norms::products(device, &shape, (x, dy), &groups.pairs())?;
                let totals = norms::over_images(&sums, norm.channels());
                for (parameter, which) in [(norm.shift, 0), (norm.scale, 1)] {
                    let own = totals.iter().map(|sums| f32::of(sums[which]));
                    gradients[parameter.0] = own.collect();
                }
                let lines = groups.lines_back(&parameters[norm.scale.0], &sums);
                return norms::lines_back(device, &shape, (x, dy), &lines, dx);
            }
            Layer::Relu => {
                let y = held(&self.made, step.output);
                let arguments = elementwise(dx, [Some(y), Some(dy), None]);
                return device.launch(Kernel::ReluBack, len, arguments, Sizes::default());
            }
            Layer::Add => return accumulate(device, dy, dx),
            Layer::Pool2d(layer) => {
                let y = held(&self.made, step.output);
                let arguments = elementwise(dx, [Some(x), Some(y), Some(dy)]);
                return device.launch(Kernel::PoolBack, D::len(dy), arguments, windows(layer));
            }
        };
        if let Some(bias) = product.bias {
            let shape = self.shape(network, step.output, false);
            let sums = norms::squares(device, &shape, dy)?;
            let totals = norms::over_images(&sums, shape.value[2]);
            gradients[bias.0] = totals.iter().map(|sums| f32::of(sums[0])).collect();
        }
        let dx = (from.0 != 0 || back.pass.batch.image_gradient).then_some(dx);
        let weights = &self.parameters[product.weights.0];
        let own = product.backward(device, weights, (x, dy, self.images), patches, dx)?;
        gradients[product.weights.0] = own;
        Ok(())
    }
}

/// Input of the backward pass of one step.
struct Back<'a> {
    pass: &'a Pass<'a>,
    forward: &'a Forward<f32>,
    through: Option<&'a Gradients<f32>>,
    step: &'a Step,
}

fn held<F>(values: &[Option<F>], value: ValueId) -> &F {
    values[value.0].as_ref().expect("values are kept until the next pass")
}

fn elementwise<'a, D: Device>(
    out: &'a mut D::Floats,
    inputs: [Option<&'a D::Floats>; 3],
) -> Arguments<'a, D> {
    let inputs = inputs.map(|input| input.map(|input| At(input, 0)));
    Arguments { out: Some(To(out, 0)), inputs, sums: None }
}

fn accumulate<D: Device>(
    device: &mut D,
    dy: &D::Floats,
    dx: &mut D::Floats,
) -> Result<(), EngineError> {
    let len = D::len(dx);
    device.launch(
        Kernel::Accumulate,
        len,
        elementwise(dx, [Some(dy), None, None]),
        Sizes::default(),
    )
}

fn windows(layer: &Pool2d) -> Sizes {
    let ([height, width, channels], [out_height, out_width, _]) = (layer.input, layer.output());
    Sizes {
        height: int(height),
        width: int(width),
        channels: int(channels),
        out_height: int(out_height),
        out_width: int(out_width),
        kernel_height: int(layer.window[0]),
        kernel_width: int(layer.window[1]),
        mode: match layer.kind {
            PoolKind::Average => 0,
            PoolKind::Max => 1,
        },
        ..Sizes::default()
    }
}
