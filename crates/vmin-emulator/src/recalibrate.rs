//! Biases and multipliers for one chip, so that its channels mean what those of the clean network mean.
//!
//! Faults shift the sums of a channel by about the same amount at every image and pixel; the bias takes that
//! back. Layer by layer from the front, each on what the corrected layers before it give:
//!
//! ```text
//!  images ─> layer as the chip computes it ─ sums ─> new bias ─> layer again ─ outputs ─> next layer
//!                                             │
//!                        sums of the clean network on the same images
//! ```
//!
//! The sums are those that the requantization reads, before it cuts them: a channel that faults push below its
//! activation still tells by how much. One sum that the accumulator memory reads wrongly by more than the
//! clean channel spans is taken as it was before that: no bias mends it, and the others would pay for it.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use vmin_kernels::GemmKernel;
use vmin_nn::exec::{LayerSums, Step};
use vmin_nn::{Conv2d, Graph, Op};
use vmin_quant::FixedMultiplier;

use crate::emulator::{BufferFaults, EmulatorError, ImageRead, Stopped};
use crate::memory::activations::ActivationFaults;
use crate::memory::sums::LoadedLayer;
use crate::memory::weights::written;

#[cfg(test)]
mod tests;

/// What is written anew for a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// Biases: the mean of each channel.
    Biases,
    /// Biases and multipliers: mean and standard deviation of each channel.
    BiasesAndMultipliers,
}

/// Most by which a multiplier is changed, up or down: a channel of which little is left is not blown up.
const RATIO_MAX: f64 = 4.0;

/// The sums of one channel over all images and pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    count: i128,
    sum: i128,
    squares: i128,
    low: i32,
    high: i32,
}

impl Channel {
    const NONE: Self = Self { count: 0, sum: 0, squares: 0, low: i32::MAX, high: i32::MIN };

    fn add(&mut self, sum: i32) {
        self.count += 1;
        self.sum += i128::from(sum);
        self.squares += i128::from(i64::from(sum) * i64::from(sum));
        self.low = self.low.min(sum);
        self.high = self.high.max(sum);
    }

    fn with(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// Distance of the lowest and the highest sum.
    fn span(&self) -> i64 {
        i64::from(self.high) - i64::from(self.low)
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.count as f64
    }

    /// The squared deviation, times the squared count.
    fn spread(&self) -> i128 {
        self.count * self.squares - self.sum * self.sum
    }
}

/// Unlabelled images, and what the channels of a network without faults do on them: once for all chips.
pub struct Calibration<'g> {
    graph: &'g Graph,
    kernel: &'static dyn GemmKernel,
    /// Input codes of each image.
    images: Vec<Vec<i8>>,
    /// Channels of each node; none where a node is no product.
    clean: Vec<Option<Vec<Channel>>>,
}

impl std::fmt::Debug for Calibration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calibration").field("images", &self.images.len()).finish_non_exhaustive()
    }
}

/// What the memories of a chip do to the images.
enum Memories<'a, 'm> {
    Lasting(&'a [Vec<u8>], BufferFaults<'a>),
    EveryImage(&'a (dyn Fn(usize) -> ImageRead<'m> + Sync)),
}

/// What the buffers do to one image in one layer.
struct Buffers<'a> {
    activations: Option<&'a ActivationFaults<'a>>,
    sums: Option<&'a LoadedLayer<'a>>,
}

impl<'g> Calibration<'g> {
    /// Runs the clean network on `[count, height, width, channels]` pixels.
    ///
    /// # Errors
    /// Pixels of no whole number of images, or of none; a graph without a rule for pixels; [`Stopped`] soon
    /// after `stop` was set.
    pub fn new(
        graph: &'g Graph,
        pixels: &[u8],
        kernel: &'static dyn GemmKernel,
        stop: &AtomicBool,
    ) -> Result<Self, EmulatorError> {
        let expected = graph.tensors[graph.input.0].elements();
        if pixels.is_empty() || !pixels.len().is_multiple_of(expected) {
            return Err(EmulatorError::ImageSize { expected, found: pixels.len() });
        }
        let codes = graph.input_codes(pixels);
        let codes = codes.map_err(|error| EmulatorError::Pixels(error.to_string()))?;
        let images = codes.chunks_exact(expected).map(<[i8]>::to_vec).collect();
        let clean = vec![None; graph.nodes.len()];
        let mut this = Self { graph, kernel, images, clean };
        let mut clean = this.clean.clone();
        let codes = written(graph);
        let memories = Memories::Lasting(&codes, BufferFaults::default());
        this.layer_by_layer(&memories, stop, |_, node, channels| clean[node] = Some(channels))?;
        this.clean = clean;
        Ok(this)
    }

    /// The network with biases for a chip whose memories give back these weight codes, and do this to
    /// activations and sums. The graph's own codes stay.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    ///
    /// # Panics
    /// If `codes` or `faults` are not of this graph.
    pub fn recalibrated(
        &self,
        codes: &[Vec<u8>],
        faults: BufferFaults<'_>,
        corrected: Corrected,
        stop: &AtomicBool,
    ) -> Result<Graph, Stopped> {
        self.corrected(&Memories::Lasting(codes, faults), corrected, stop)
    }

    /// As [`Self::recalibrated`], with everything read anew for every image: `read` tells what the memories do
    /// to an image, by its index. It is asked once or twice per image and node.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    ///
    /// # Panics
    /// If what is read belongs to another graph.
    pub fn recalibrated_reread<'m>(
        &self,
        read: impl Fn(usize) -> ImageRead<'m> + Sync,
        corrected: Corrected,
        stop: &AtomicBool,
    ) -> Result<Graph, Stopped> {
        self.corrected(&Memories::EveryImage(&read), corrected, stop)
    }

    fn corrected(
        &self,
        memories: &Memories<'_, '_>,
        corrected: Corrected,
        stop: &AtomicBool,
    ) -> Result<Graph, Stopped> {
        self.layer_by_layer(memories, stop, |graph, node, channels| {
            let Op::Conv2d(conv) = &mut graph.nodes[node].op else { return };
            let clean = self.clean[node].iter().flatten();
            for (channel, (clean, found)) in clean.zip(&channels).enumerate() {
                correct(conv, channel, clean, found, corrected);
            }
        })
    }

    /// Runs all images through one layer after the other. `measured` gets the channels of each product, and may
    /// change its node before its outputs are computed.
    fn layer_by_layer(
        &self,
        memories: &Memories<'_, '_>,
        stop: &AtomicBool,
        mut measured: impl FnMut(&mut Graph, usize, Vec<Channel>),
    ) -> Result<Graph, Stopped> {
        let mut graph = self.graph.clone();
        // Per tensor, all images; empty before and after it is needed.
        let mut tensors: Vec<Vec<Vec<i8>>> = vec![Vec::new(); graph.tensors.len()];
        let write = |buffers: &Buffers<'_>, node: Option<usize>, mut codes: Vec<i8>| {
            let id = node.map_or(self.graph.input, |node| self.graph.nodes[node].output);
            if let Some(activations) = buffers.activations {
                activations.apply(id, &mut codes);
            }
            codes
        };
        tensors[graph.input.0] = self.of_images(
            &graph,
            None,
            memories,
            stop,
            |_| (),
            |(), buffers, image| write(buffers, None, self.images[image].clone()),
        )?;
        for node in 0..graph.nodes.len() {
            let (kernel, inputs) = (self.kernel, graph.nodes[node].inputs.clone());
            let input = |image: usize| -> Vec<&[i8]> {
                inputs.iter().map(|id| &tensors[id.0][image][..]).collect()
            };
            if let Some(conv) = graph.nodes[node].op.product() {
                let channels = conv.bias.len();
                let of_images = self.of_images(
                    &graph,
                    Some(node),
                    memories,
                    stop,
                    |codes| LayerSums::new(&graph, node, codes, usize::MAX, kernel),
                    |layer, buffers, image| {
                        let clean = self.clean[node].as_deref();
                        let layer = layer.as_ref()?;
                        Some(of_image(layer, buffers, input(image)[0], channels, clean))
                    },
                )?;
                let all = vec![Channel::NONE; channels];
                let sum = |all: Vec<Channel>, of: Vec<Channel>| {
                    all.into_iter().zip(of).map(|(a, b)| a.with(b)).collect()
                };
                measured(&mut graph, node, of_images.into_iter().flatten().fold(all, sum));
            }
            let outputs = self.of_images(
                &graph,
                Some(node),
                memories,
                stop,
                |codes| Step::new(&graph, node, codes, kernel),
                |step, buffers, image| {
                    let inputs = input(image);
                    let mut out = step.run(&inputs);
                    if let Some(sums) = buffers.sums {
                        sums.apply(inputs[0], &mut out);
                    }
                    write(buffers, Some(node), out)
                },
            )?;
            tensors[graph.nodes[node].output.0] = outputs;
            for id in inputs {
                if !graph.nodes[node + 1..].iter().any(|later| later.inputs.contains(&id)) {
                    tensors[id.0] = Vec::new();
                }
            }
        }
        Ok(graph)
    }

    /// What `work` makes of each image, with what `prepare` makes of the weight codes that it meets.
    fn of_images<P: Sync, T: Send>(
        &self,
        graph: &Graph,
        node: Option<usize>,
        memories: &Memories<'_, '_>,
        stop: &AtomicBool,
        prepare: impl Fn(&[Vec<u8>]) -> P + Sync,
        work: impl Fn(&P, &Buffers<'_>, usize) -> T + Sync,
    ) -> Result<Vec<T>, Stopped> {
        let images = (0..self.images.len()).into_par_iter();
        let stopped = || if stop.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) };
        match *memories {
            Memories::Lasting(codes, BufferFaults { activations, sums }) => {
                let prepared = prepare(codes);
                let sums = sums.and_then(|sums| sums.load_layer(graph, codes, node?, self.kernel));
                let buffers = Buffers { activations, sums: sums.as_ref() };
                let one = |image| stopped().map(|()| work(&prepared, &buffers, image));
                images.map(one).collect()
            }
            Memories::EveryImage(read) => {
                let one = |image| {
                    stopped()?;
                    let ImageRead { weights, activations, sums } = read(image);
                    let (codes, sums) = (&weights.codes, sums.as_ref());
                    let sums =
                        sums.and_then(|sums| sums.load_layer(graph, codes, node?, self.kernel));
                    let activations = activations.as_ref();
                    let buffers = Buffers { activations, sums: sums.as_ref() };
                    Ok(work(&prepare(codes), &buffers, image))
                };
                images.map(one).collect()
            }
        }
    }
}

/// The channels of one image.
fn of_image(
    layer: &LayerSums,
    buffers: &Buffers<'_>,
    input: &[i8],
    channels: usize,
    clean: Option<&[Channel]>,
) -> Vec<Channel> {
    let mut right = Vec::new();
    // One fold: all sums are read once, in order.
    let _ = layer.run(input, false, |_, _, sums| right.extend_from_slice(sums));
    let mut found = vec![Channel::NONE; channels];
    if let (Some(faults), Some(clean)) = (buffers.sums, clean) {
        let mut read = right.clone();
        faults.read_sums(input, &mut read);
        let pixels = right.chunks_exact_mut(channels).zip(read.chunks_exact(channels));
        for (sum, (&read, clean)) in
            pixels.flat_map(|(right, read)| right.iter_mut().zip(read.iter().zip(clean)))
        {
            if i64::from(*sum).abs_diff(read.into()) <= clean.span().unsigned_abs() {
                *sum = read;
            }
        }
    }
    for pixel in right.chunks_exact(channels) {
        found.iter_mut().zip(pixel).for_each(|(channel, &sum)| channel.add(sum));
    }
    found
}

/// Gives a channel the mean of the clean one, and its deviation.
fn correct(conv: &mut Conv2d, channel: usize, clean: &Channel, found: &Channel, what: Corrected) {
    let (bias, factor) = (&mut conv.bias[channel], &mut conv.multipliers[channel]);
    let stretched = match what {
        Corrected::Biases => None,
        Corrected::BiasesAndMultipliers => stretched(*factor, clean, found),
    };
    let new = match stretched {
        None => {
            let (lost, count) = (clean.sum - found.sum, clean.count.max(1));
            // To the nearest, halves away from zero.
            i128::from(*bias) + (2 * lost + lost.signum() * count) / (2 * count)
        }
        Some(held) => {
            let wanted = clean.mean() * (*factor / held);
            *factor = held;
            // The cast saturates.
            (wanted - (found.mean() - f64::from(*bias))).round() as i128
        }
    };
    *bias = new.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
}

/// The factor that gives a channel the deviation of the clean one, if that is another.
fn stretched(factor: f64, clean: &Channel, found: &Channel) -> Option<f64> {
    let (wanted, found) = (clean.spread(), found.spread());
    if wanted == found || wanted == 0 || found == 0 {
        return None;
    }
    let ratio = (wanted as f64 / found as f64).sqrt().clamp(1.0 / RATIO_MAX, RATIO_MAX);
    let held = FixedMultiplier::from_real(factor * ratio).ok()?.real();
    (held > 0.0).then_some(held)
}
