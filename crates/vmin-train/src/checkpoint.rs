//! Checkpoint file: a run between two epochs.
//!
//! ```text
//!  tensors `parameter.00000` ..   F32, the master floats
//!  tensors `velocity.00000` ..    F32, of the optimizer
//!  tensors `bound.00000`          F32, learned bounds of the weights; none if they are not learned
//!  tensors `bound-velocity.00000` F32, of their optimizer
//!  tensors `mean.00000` ..        F32, running averages of batch normalizations
//!  tensors `variance.00000` ..    F32, the same
//!  metadata key `vmin-training`   recipe, digests of the images, counters, metrics as JSON
//! ```

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use vmin_nn::data::Dataset;

use crate::clip::Learned;
use crate::{EpochMetrics, Recipe};

/// Version of the file format.
pub const CHECKPOINT_VERSION: u32 = 2;

const KEY: &str = "vmin-training";

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file is no checkpoint, or bytes are missing.
    #[error("the checkpoint is damaged: {0}")]
    Damaged(&'static str),
    /// The safetensors container is malformed.
    #[error("the checkpoint is damaged")]
    Container(#[source] safetensors::SafeTensorError),
    /// The description of the run is malformed.
    #[error("the checkpoint's description is damaged")]
    Header(#[source] serde_json::Error),
    /// The file has another format version.
    #[error("the checkpoint is of version {found}, not {CHECKPOINT_VERSION}")]
    Version {
        /// Version of the file.
        found: u32,
    },
    /// The run used another recipe.
    #[error("the checkpoint was made with another recipe")]
    OtherRecipe,
    /// The run used other images.
    #[error("the checkpoint was made with other {split} images")]
    OtherData {
        /// `training` or `test`.
        split: &'static str,
    },
    /// The run used other measured chips.
    #[error("the checkpoint was made with other chips")]
    OtherChips,
}

/// State from which a run continues; [`Trainer::checkpoint`](crate::Trainer::checkpoint) creates it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub(crate) recipe: String,
    pub(crate) data_sha256: [String; 2],
    /// Digests of the measured chips.
    pub(crate) chips_sha256: Vec<String>,
    pub(crate) parameters: Vec<Vec<f32>>,
    pub(crate) velocities: Vec<Vec<f32>>,
    /// Learned bounds of the weights, and their velocities.
    pub(crate) clip: Option<Learned>,
    /// Running means, then running variances, of the batch normalizations.
    pub(crate) statistics: [Vec<Vec<f32>>; 2],
    pub(crate) steps_done: usize,
    pub(crate) injecting: bool,
    pub(crate) epochs: Vec<EpochMetrics>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    recipe: String,
    data_sha256: [String; 2],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chips_sha256: Vec<String>,
    tensors: usize,
    #[serde(default, skip_serializing_if = "is_false")]
    learned_clip: bool,
    norms: usize,
    steps_done: usize,
    injecting: bool,
    epochs: Vec<EpochMetrics>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Checkpoint {
    /// The bytes of the file, the same for equal checkpoints.
    ///
    /// # Errors
    /// [`CheckpointError::Container`] or [`CheckpointError::Header`] if serialization fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let header = Header {
            version: CHECKPOINT_VERSION,
            recipe: self.recipe.clone(),
            data_sha256: self.data_sha256.clone(),
            chips_sha256: self.chips_sha256.clone(),
            tensors: self.parameters.len(),
            learned_clip: self.clip.is_some(),
            norms: self.statistics[0].len(),
            steps_done: self.steps_done,
            injecting: self.injecting,
            epochs: self.epochs.clone(),
        };
        let header = serde_json::to_string(&header).map_err(CheckpointError::Header)?;
        let mut tensors: Vec<(String, Vec<u8>)> = Vec::new();
        let clip = self.clip.iter();
        let [bounds, bound_velocities]: [Vec<_>; 2] =
            clip.map(|clip| (clip.bounds.clone(), clip.velocities.clone())).unzip().into();
        for (kind, values) in [
            ("parameter", &self.parameters),
            ("velocity", &self.velocities),
            ("bound", &bounds),
            ("bound-velocity", &bound_velocities),
            ("mean", &self.statistics[0]),
            ("variance", &self.statistics[1]),
        ] {
            for (index, values) in values.iter().enumerate() {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((name(kind, index), bytes));
            }
        }
        let views: Result<Vec<_>, _> = tensors
            .iter()
            .map(|(name, bytes)| {
                let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?;
                Ok((name.as_str(), view))
            })
            .collect();
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(CheckpointError::Container)
    }

    /// Parses the bytes of [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`CheckpointError`] for damaged files and other versions.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let container = CheckpointError::Container;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let text = text.ok_or(CheckpointError::Damaged("it does not say what it is"))?;
        let header: Header = serde_json::from_str(text).map_err(CheckpointError::Header)?;
        if header.version != CHECKPOINT_VERSION {
            return Err(CheckpointError::Version { found: header.version });
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(container)?;
        let clips = usize::from(header.learned_clip);
        let count = header.tensors.checked_add(header.norms).and_then(|sum| sum.checked_add(clips));
        let count = count.and_then(|sum| sum.checked_mul(2));
        if Some(tensors.len()) != count {
            return Err(CheckpointError::Damaged("tensors are missing"));
        }
        let read = |kind, count: usize| -> Result<Vec<Vec<f32>>, CheckpointError> {
            let tensor = |index| {
                let view = tensors.tensor(&name(kind, index)).map_err(container)?;
                if view.dtype() != Dtype::F32 {
                    return Err(CheckpointError::Damaged("a tensor is not of floats"));
                }
                let words = view.data().chunks_exact(4);
                Ok(words
                    .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
                    .collect())
            };
            (0..count).map(tensor).collect()
        };
        let pairs = read("bound", clips)?.into_iter().zip(read("bound-velocity", clips)?);
        let clip = pairs.map(|(bounds, velocities)| Learned { bounds, velocities }).next();
        Ok(Self {
            clip,
            parameters: read("parameter", header.tensors)?,
            velocities: read("velocity", header.tensors)?,
            statistics: [read("mean", header.norms)?, read("variance", header.norms)?],
            recipe: header.recipe,
            data_sha256: header.data_sha256,
            chips_sha256: header.chips_sha256,
            steps_done: header.steps_done,
            injecting: header.injecting,
            epochs: header.epochs,
        })
    }

    /// Number of finished epochs.
    #[must_use]
    pub fn epochs_done(&self) -> usize {
        self.epochs.len()
    }

    /// A recipe as checkpoints compare it: by its values, independent of the layout of the recipe file.
    pub(crate) fn recipe_text(recipe: &Recipe) -> String {
        serde_json::to_string(recipe).unwrap_or_else(|error| format!("no recipe: {error}"))
    }

    /// Rejects a checkpoint of another recipe or of other images.
    pub(crate) fn check_origin(
        &self,
        recipe: &Recipe,
        data: &Dataset,
        test: &Dataset,
    ) -> Result<(), CheckpointError> {
        if self.recipe != Self::recipe_text(recipe) {
            return Err(CheckpointError::OtherRecipe);
        }
        let sets = [("training", data), ("test", test)];
        for (sha256, (split, set)) in self.data_sha256.iter().zip(sets) {
            if *sha256 != set.sha256() {
                return Err(CheckpointError::OtherData { split });
            }
        }
        Ok(())
    }
}

fn name(kind: &str, index: usize) -> String {
    format!("{kind}.{index:05}")
}
