//! Progressive bit search: one flip after the other, the best of the best of every tensor.

use super::hamming::Changes;
use super::{Asked, Flip, Found, Victim, Weights};

/// The loss after a flip, and the questions asked until then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct After {
    /// The victim's loss.
    pub loss: f64,
    /// Losses and slopes that the victim told.
    pub queries: u64,
}

/// Flips `count` bits one after the other. Each time the slope at the codes as flipped so far names the best bit of
/// every tensor, each of these is tried, and the one with the highest loss stays (A. S. Rakin, Z. He, D. Fan,
/// "Bit-Flip Attack", ICCV 2019). The first n flips are those of an attack with n; the list tells what each flip did.
///
/// # Errors
/// The victim's.
pub fn progressive<V: Victim>(
    weights: &[Weights],
    count: usize,
    victim: &mut V,
) -> Result<(Found, Vec<After>), V::Error> {
    let mut asked = Asked { victim, queries: 0 };
    // Flipped codes are out of reach from then on, and changes count from the codes as read.
    let mut left = weights.to_vec();
    let changes: Vec<Changes> = weights.iter().map(Changes::new).collect();
    let mut flips = Vec::new();
    let mut trace = Vec::new();
    let mut loss = None;
    while flips.len() < count {
        let slope = asked.slope(weights, &flips)?;
        loss.get_or_insert(slope.loss);
        let mut tried: Option<(f64, Flip)> = None;
        for (tensor, (of, slopes)) in left.iter().zip(&slope.by_integer).enumerate() {
            let candidates = slopes.iter().enumerate().filter_map(|(index, &slope)| {
                let (bit, gain) = changes[tensor].best(of, index, slope)?;
                Some((gain, Flip { tensor, index, bit }))
            });
            // The first of equals.
            let candidate =
                candidates.reduce(|best, other| if other.0 > best.0 { other } else { best });
            let Some((_, flip)) = candidate else { continue };
            flips.push(flip);
            let loss = asked.loss(weights, &flips)?;
            flips.pop();
            if tried.is_none_or(|(best, _)| loss > best) {
                tried = Some((loss, flip));
            }
        }
        let Some((best, flip)) = tried else { break };
        flips.push(flip);
        loss = Some(best);
        trace.push(After { loss: best, queries: asked.queries });
        left[flip.tensor].reachable[flip.index] = 0;
    }
    let loss = match loss {
        Some(loss) => loss,
        None => asked.loss(weights, &[])?,
    };
    Ok((Found { flips, loss, queries: asked.queries }, trace))
}
