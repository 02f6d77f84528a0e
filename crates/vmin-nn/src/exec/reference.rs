//! Slow, obvious execution: the specification of every fast path.

use crate::Graph;
use crate::ops::At;

/// Why a run was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input does not have the elements of the input tensor.
    #[error("the network takes {expected} input elements, found {found}")]
    Input {
        /// Elements of the input tensor.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A weight set does not fit the graph.
    #[error("weight tensor {tensor} has {expected} codes, found {found}")]
    Weights {
        /// Index in [`Graph::weights`] (the number of tensors if that is wrong).
        tensor: usize,
        /// Codes of the graph's tensor.
        expected: usize,
        /// Codes given.
        found: usize,
    },
}

/// Runs `graph` with the weight `codes` (one vector per weight tensor, one code per byte) on one
/// input and returns every activation tensor in the order of [`Graph::tensors`].
///
/// # Errors
/// Lengths that do not fit the graph.
///
/// # Panics
/// If the graph does not pass [`Graph::validate`].
pub fn run(graph: &Graph, codes: &[Vec<u8>], input: &[i8]) -> Result<Vec<Vec<i8>>, RunError> {
    check_lengths(graph, codes, input)?;
    let mut tensors: Vec<Vec<i8>> = graph.tensors.iter().map(|t| vec![0; t.elements()]).collect();
    tensors[graph.input.0].copy_from_slice(input);
    for (index, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<&[i8]> = node.inputs.iter().map(|id| tensors[id.0].as_slice()).collect();
        let at = At { graph, index };
        tensors[node.output.0] = node.op.operator().reference(&at, codes, &inputs);
    }
    Ok(tensors)
}

/// Refuses a weight set or an input whose lengths do not fit the graph.
pub(crate) fn check_lengths(
    graph: &Graph,
    codes: &[Vec<u8>],
    input: &[i8],
) -> Result<(), RunError> {
    let expected = graph.tensors[graph.input.0].elements();
    if input.len() != expected {
        return Err(RunError::Input { expected, found: input.len() });
    }
    if codes.len() != graph.weights.len() {
        let (expected, found) = (graph.weights.len(), codes.len());
        return Err(RunError::Weights { tensor: expected, expected, found });
    }
    for (tensor, (weights, codes)) in graph.weights.iter().zip(codes).enumerate() {
        let (expected, found) = (weights.codes.len(), codes.len());
        if expected != found {
            return Err(RunError::Weights { tensor, expected, found });
        }
    }
    Ok(())
}
