//! Comparison of the integer network with the float network on the same images.

use rayon::prelude::*;
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_nn::exec::Executor;

use super::Deployed;
use crate::engine::Evaluation;
use crate::{DeployError, Trained};

/// Runs both networks on all images of `test`.
pub(super) fn compare(
    trained: &Trained,
    graph: Graph,
    test: &Dataset,
) -> Result<Deployed, DeployError> {
    let net = &trained.network;
    if test.is_empty() || test.shape != net.values[0] {
        return Err(DeployError::Images {
            images: test.len(),
            found: test.shape,
            expected: net.values[0],
        });
    }
    let seen = trained.seen();
    let score = Evaluation::new(net, &seen, trained.recipe.input, test).on_processor();
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let wrong = integer_errors(&graph, &codes, test)?;
    let images = test.len() as f64;
    Ok(Deployed {
        graph,
        float_err: score.wrong as f64 / images,
        integer_err: wrong as f64 / images,
    })
}

/// Wrong images of the integer network with these weight codes (the first of equal logits counts).
/// `codes` holds one vector per weight tensor of `graph`, as a memory returns them.
///
/// # Errors
///
/// [`DeployError::Images`] or [`DeployError::Run`] if images or codes do not fit the graph.
pub fn integer_errors(
    graph: &Graph,
    codes: &[Vec<u8>],
    data: &Dataset,
) -> Result<usize, DeployError> {
    graph.validate().map_err(|error| DeployError::Run(error.to_string()))?;
    let expected = match graph.tensors[graph.input.0].shape.as_slice() {
        &[height, width, channels] => [height, width, channels],
        shape => [1, 1, shape.iter().product()],
    };
    if data.shape != expected {
        return Err(DeployError::Images { images: data.len(), found: data.shape, expected });
    }
    let lengths = graph.weights.iter().map(|weights| weights.codes.len());
    if !lengths.eq(codes.iter().map(Vec::len)) {
        return Err(DeployError::Run("the codes are not those of its weights".to_owned()));
    }
    let executor = Executor::new(graph, vmin_kernels::best());
    let weights = executor.load_weights(codes);
    let wrong = (0..data.len()).into_par_iter().map_init(
        || executor.scratch(),
        |scratch, image| {
            let prediction = executor.classify(&weights, data.image(image), scratch);
            usize::from(prediction != usize::from(data.labels[image]))
        },
    );
    Ok(wrong.sum())
}
