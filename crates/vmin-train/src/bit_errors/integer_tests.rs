//! Training's forward pass under errors against the integer engine under the same errors.
//!
//! Both meet the bits that [`DataErrors`] flips: in pixels, in every stored activation, the logits among them, and in
//! partial sums whose words are kept narrow and guarded. Every value begins from what the integer engine read, so that
//! one difference cannot hide in the next.

use std::sync::atomic::{AtomicUsize, Ordering};

use vmin_emulator::{SumRule, sum_bits};
use vmin_nn::data::{Split, shapes};
use vmin_nn::exec::{Executor, OutputSums};

use super::sums::tests::{Lowered, lowered, trained};
use super::{DataErrors, DataFaults, DataRates};
use crate::clip::cut_off;
use crate::network::{Memory, Network, Step, ValueId, Values, forward_into};
use crate::random::Purpose;

/// The memory of training beside the codes that the integer engine read.
struct Twin<'e> {
    errors: &'e DataErrors,
    /// Codes of every stored value as the integer engine read them.
    integers: Vec<Option<Vec<u8>>>,
    /// Values compared, those that differ by one code before the errors, and flipped bits.
    counts: [AtomicUsize; 3],
}

impl Memory<f32> for Twin<'_> {
    fn holds(&self, value: ValueId) -> bool {
        assert_eq!(self.errors.holds(value), self.integers[value.0].is_some(), "{value:?}");
        self.errors.holds(value)
    }

    fn errs_in_sums(&self, value: ValueId) -> bool {
        self.errors.errs_in_sums(value)
    }

    fn read_sums(
        &self,
        step: &Step,
        chunk: usize,
        parameters: &[Vec<f32>],
        x: &[f32],
        made: &mut [f32],
    ) -> Vec<usize> {
        self.errors.read_sums(step, chunk, parameters, x, made)
    }

    fn read_back(&self, value: ValueId, chunk: usize, made: &[f32], read: &mut Vec<f32>) {
        let (Some(integers), Some(Some(quantization))) =
            (&self.integers[value.0], self.errors.stored.get(value.0))
        else {
            return;
        };
        self.errors.read_back(value, chunk, made, read);
        let masks = self.errors.masks(value.0, chunk, made.len());
        let whole = |code: u8| i32::from(code.cast_signed());
        for ((read, &integer), mask) in read.iter_mut().zip(integers).zip(masks) {
            let own = super::data::code(*read, *quantization);
            let [own, right] = [own ^ mask, integer ^ mask].map(whole);
            // Multipliers of 31 bits and biases of whole units: a code may round the other way.
            assert!((own - right).abs() <= 1, "{value:?}: {own} {right}");
            self.counts[1].fetch_add(usize::from(own != right), Ordering::Relaxed);
            self.counts[2].fetch_add(mask.count_ones() as usize, Ordering::Relaxed);
            *read = super::data::real(usize::from(integer), *quantization);
        }
        self.counts[0].fetch_add(integers.len(), Ordering::Relaxed);
    }
}

impl DataErrors {
    /// The bits of the sums of a product that flip, output by output, at each read.
    fn sum_masks(&self, network: &Network, value: ValueId, chunk: usize) -> Vec<(usize, Vec<u32>)> {
        let mut stream = self.stream(self.shapes.len() + value.0, chunk);
        self.sums.masks(network, value, self.rates.sums, &mut stream)
    }

    /// The bits of a value that flip.
    fn masks(&self, value: usize, chunk: usize, len: usize) -> Vec<u8> {
        let mut masks = vec![0; len];
        self.flip(value, chunk, &mut masks, self.rates.activations);
        masks
    }
}

#[test]
fn the_same_errors_make_the_same_codes_as_in_the_integer_engine() {
    const FOLD: usize = 7;
    let data = shapes::generate(shapes::SEED, Split::Train, 64);
    for (clip, narrow, guard) in [
        (None, false, None),
        (None, true, None),
        (Some(2.0), false, None),
        (Some(2.0), true, Some(0.1)),
    ] {
        let mut trained = trained();
        if let Some(clip) = clip {
            cut_off(&mut trained.network, clip).expect("deployable");
        }
        let (network, recipe) = (&trained.network, &trained.recipe);
        let Lowered { graph, parameters, encoded, seen, steps, stored, codes } =
            lowered(&trained, &data);
        let moments = network.running_moments();
        let how = (FOLD, narrow);
        let mut sums = stored.sums(network, &parameters, &moments, (&codes, &encoded), how);
        if let Some(margin) = guard {
            let inputs = recipe.input.inputs(data.image(0));
            sums.guard_by(network, &seen, &moments, &inputs, margin);
        }
        // The rule of each node with weights.
        let mut rules: Vec<Option<SumRule>> = Vec::new();
        let mut outputs = Vec::new();
        for node in &graph.nodes {
            let fused = steps.iter().find(|fused| fused.step.name == node.name);
            rules.push(fused.and_then(|fused| sums.rule(fused.step.output)));
            outputs.push(fused.map(|fused| (fused.step.output, fused.output)));
        }
        if narrow {
            let bits = rules.iter().map(|rule| rule.map(|rule| rule.bits));
            assert_eq!(
                bits.collect::<Vec<_>>(),
                sum_bits(&graph),
                "as narrow as on the accelerator"
            );
        }
        let rates = DataRates { inputs: 0.01, activations: 0.02, sums: 2e-3 };
        let errors = DataErrors {
            rates,
            faults: DataFaults::Transient,
            shapes: network.values.clone(),
            stored: codes,
            sums,
            seed: 5,
            purpose: Purpose::DataErrors,
            index: 3,
        };
        let graph_codes: Vec<_> = graph.weights.iter().map(|w| w.codes.clone()).collect();
        let executor = Executor::new(&graph, vmin_kernels::best());
        let weights = executor.load_clean_weights();
        let mut totals = [0; 4];
        for image in 0..20 {
            // Every image is a chunk of its own.
            let pixels = errors.pixels(image, data.image(image)).into_owned();
            let input: Vec<i8> = pixels.iter().map(|&pixel| (pixel ^ 0x80).cast_signed()).collect();
            let mut integers: Vec<Option<Vec<u8>>> = vec![None; network.values.len()];
            let mut scratch = executor.scratch();
            let computed = |node: usize, tensors: &[Vec<i8>], out: &mut [i8]| {
                let (Some(rule), Some((made, _))) = (rules[node], outputs[node]) else { return };
                let sums = OutputSums::new(&graph, &graph_codes, node).expect("a product");
                let x = &tensors[graph.nodes[node].inputs[0].0];
                for (output, masks) in errors.sum_masks(network, made, image) {
                    totals[3] += 1;
                    let mut masks = masks.into_iter();
                    out[output] = sums.output(x, output, FOLD, true, |sum| {
                        let word = rule.cut(sum).cast_unsigned();
                        let used = u32::MAX >> (32 - u32::from(rule.bits));
                        let mask = masks.next().expect("a read");
                        rule.read((word ^ mask & used).cast_signed())
                    });
                }
            };
            let written = |id: vmin_nn::TensorId, tensor: &mut [i8]| {
                let node = graph.nodes.iter().position(|node| node.output == id);
                let Some((_, value)) = node.and_then(|node| outputs[node]) else { return };
                let masks = errors.masks(value.0, image, tensor.len());
                let read = tensor.iter_mut().zip(masks);
                read.for_each(|(code, mask)| *code = (code.cast_unsigned() ^ mask).cast_signed());
                integers[value.0] = Some(tensor.iter().map(|code| code.cast_unsigned()).collect());
            };
            executor.run_watched(&weights, &input, &mut scratch, computed, written);
            let twin = Twin { errors: &errors, integers, counts: Default::default() };
            let inputs = recipe.input.inputs(&pixels);
            forward_into(network, &seen, &inputs, Some((&twin, image)), &mut Values::new());
            let counts = twin.counts.map(AtomicUsize::into_inner);
            totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        let [compared, differ, flipped, sums_hit] = totals;
        assert!(compared > 20 * 400 && flipped > 500 && sums_hit > 500, "{totals:?}");
        assert!(differ * 200 < compared, "{totals:?}");
    }
}
