//! Training against attacks on images, and against moved weights.

use serde::{Serialize, Serializer};
use vmin_attack::Norm;
use vmin_attack::image::Start;
use vmin_attack::patch::Moves;

/// How a share of the images of every step is changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageAttack {
    /// By projected gradients that raise the cross-entropy: adversarial training (A. Madry et al., ICLR 2018).
    Pgd(ImageSearch),
    /// By projected gradients that raise the confidence of a wrong class, with a target that fades to uniform with the
    /// size of the change: confidence-calibrated adversarial training (D. Stutz, M. Hein, B. Schiele, ICML 2020).
    Ccat {
        /// The search.
        #[serde(flatten)]
        search: ImageSearch,
        /// Power by which the share of the label falls, positive; 10 in the paper.
        rho: f64,
    },
    /// By a patch that chooses its place (S. Rao, D. Stutz, B. Schiele, 2020).
    Patch(PatchSearch),
}

/// A search within a ball around each image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageSearch {
    /// How changes are measured; pixels count from 0 to 1.
    #[serde(serialize_with = "norm_word")]
    pub norm: Norm,
    /// Largest size of a change; 0 for none.
    pub epsilon: f64,
    /// Steps, 1 or more, each for a pass over the changed images.
    pub steps: u32,
    /// First step in radii of the ball, or in ranges of a pixel for `l0`; positive.
    pub step: f64,
    /// Share of the old direction in the next one, 0 or more and below 1.
    pub momentum: f64,
    /// Divides steps that do not raise the objective, 1 or more; 1 accepts all of them.
    pub backtracking: f64,
    /// Where the search starts.
    #[serde(serialize_with = "start_word")]
    pub start: Start,
    /// Share of the images of a step that are changed, 0 to 1.
    pub share: f64,
}

/// A search for a patch on each image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatchSearch {
    /// Height and width in pixels, 1 or more.
    pub side: usize,
    /// Height and width of a box at the centre that stays free.
    pub centre: usize,
    /// Steps, 1 or more, each for two passes and one more for each move.
    pub steps: u32,
    /// Change of a pixel in a step, in ranges of a pixel; positive.
    pub step: f64,
    /// Which moves a step tries.
    #[serde(serialize_with = "moves_word")]
    pub moves: Moves,
    /// Pixels of a move, 1 or more.
    pub stride: usize,
    /// Share of the images of a step that are changed, 0 to 1.
    pub share: f64,
}

/// Adversarial weight perturbation (D. Wu, S.-T. Xia, Y. Wang, NeurIPS 2020).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WeightPerturbation {
    /// Euclidean length of the ascent of each weight tensor, in lengths of the tensor; 0 for none.
    pub gamma: f64,
}

impl ImageAttack {
    /// Share of the images of a step that are changed.
    pub(crate) fn share(&self) -> f64 {
        match self {
            Self::Pgd(search) | Self::Ccat { search, .. } if search.epsilon == 0.0 => 0.0,
            Self::Pgd(search) | Self::Ccat { search, .. } => search.share,
            Self::Patch(search) => search.share,
        }
    }
}

fn word<T: PartialEq, S: Serializer>(
    words: &[(&str, T)],
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let word = words.iter().find(|(_, other)| other == value).map_or("", |(word, _)| *word);
    serializer.serialize_str(word)
}

fn norm_word<S: Serializer>(norm: &Norm, serializer: S) -> Result<S::Ok, S::Error> {
    word(&Norm::WORDS, norm, serializer)
}

fn start_word<S: Serializer>(start: &Start, serializer: S) -> Result<S::Ok, S::Error> {
    word(&Start::WORDS, start, serializer)
}

fn moves_word<S: Serializer>(moves: &Moves, serializer: S) -> Result<S::Ok, S::Error> {
    word(&Moves::WORDS, moves, serializer)
}
