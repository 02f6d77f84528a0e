//! The integer network against the float network on the same images.

use rayon::prelude::*;
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_nn::exec::reference;

use super::Deployed;
use crate::evaluate::evaluate;
use crate::loss::argmax;
use crate::{DeployError, Trained};

/// Runs both on all of `test`.
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
    graph.validate().map_err(|error| DeployError::Run(error.to_string()))?;
    let score = evaluate(net, &trained.seen(), trained.recipe.input, test);
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let wrong = integer_errors(&graph, &codes, test)?;
    let images = test.len() as f64;
    Ok(Deployed {
        graph,
        float_err: score.wrong as f64 / images,
        integer_err: wrong as f64 / images,
    })
}

/// Wrong predictions of the integer network with these weight codes (the first of equal logits
/// counts), by the reference execution.
fn integer_errors(graph: &Graph, codes: &[Vec<u8>], data: &Dataset) -> Result<usize, DeployError> {
    let wrong = |image: usize| -> Result<usize, DeployError> {
        let input: Vec<i8> = data.image(image).iter().map(|&pixel| code(pixel)).collect();
        let tensors = reference::run(graph, codes, &input)
            .map_err(|error| DeployError::Run(error.to_string()))?;
        let prediction = argmax(&tensors[graph.output.0]);
        Ok(usize::from(prediction != usize::from(data.labels[image])))
    };
    (0..data.len()).into_par_iter().map(wrong).sum()
}

/// `pixel - 128`.
fn code(pixel: u8) -> i8 {
    (pixel ^ 0x80).cast_signed()
}
