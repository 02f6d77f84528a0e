//! Adversarial patches: a small square of free pixels at a place that the attack chooses.
//!
//! S. Rao, D. Stutz, B. Schiele, "Adversarial Training against Location-Optimized Adversarial Patches", ECCV workshops
//! 2020. Each step moves the pixels along the signs of their derivatives, then tries to move the patch; a move stays
//! if it raises the objective. Without derivatives, new random pixels take the place of the first part.

use std::ops::Range;

use crate::image::{Found, Images, Objective, Slopes, Victim};
use crate::random::Stream;

/// Number of this attack in the keys of random numbers.
const KEY: u64 = 4;

/// Side of the pixels that a black-box proposal changes, as a share of the patch.
const PROPOSED: f64 = 0.5;

/// The patch and where it may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Height and width of the patch in pixels.
    pub side: usize,
    /// Height and width of a box at the centre of the image that the patch must leave free; 0 for none.
    pub centre: usize,
}

/// Which moves a step tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// None: the patch stays at its random place.
    None,
    /// One of the four directions at random.
    Random,
    /// All four directions, the best of which counts.
    Full,
}

impl Moves {
    /// Every choice with its word.
    pub const WORDS: [(&str, Self); 3] =
        [("none", Self::None), ("random", Self::Random), ("full", Self::Full)];
}

/// Settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The patch and where it may lie.
    pub area: Area,
    /// What is raised.
    pub objective: Objective,
    /// Steps of a run.
    pub steps: u32,
    /// Change of a pixel in a step, in ranges of a pixel; only where derivatives are known.
    pub step: f32,
    /// Which moves a step tries.
    pub moves: Moves,
    /// Pixels of a move.
    pub stride: usize,
    /// Runs, the best of which counts.
    pub restarts: u32,
    /// Seed of pixels, places and moves.
    pub seed: u64,
}

impl Area {
    /// Rows that the centre box covers in an image of so many; columns likewise.
    fn covered(self, size: usize) -> Range<usize> {
        let start = size.saturating_sub(self.centre) / 2;
        start..(start + self.centre).min(size)
    }

    /// Whether a patch may lie with its first row and column here.
    #[must_use]
    pub fn allows(self, [height, width]: [usize; 2], [row, col]: [usize; 2]) -> bool {
        let inside = row + self.side <= height && col + self.side <= width;
        let meets = |at: usize, size: usize| {
            let covered = self.covered(size);
            at < covered.end && covered.start < at + self.side
        };
        inside && !(self.centre > 0 && meets(row, height) && meets(col, width))
    }

    /// Every place of an image of this height and width; none if the patch is empty or does not fit.
    #[must_use]
    pub fn places(self, size: [usize; 2]) -> Vec<[usize; 2]> {
        if self.side == 0 {
            return Vec::new();
        }
        let all = (0..size[0]).flat_map(|row| (0..size[1]).map(move |col| [row, col]));
        all.filter(|&place| self.allows(size, place)).collect()
    }
}

/// Patches along derivatives; none of the images changes if no place is free.
///
/// # Errors
/// The victim's.
pub fn patch<V: Slopes>(
    images: &Images<'_>,
    settings: &Patch,
    victim: &mut V,
) -> Result<Found, V::Error> {
    search(images, settings, victim, |victim, run| {
        let slope = victim.slope(&run.values(images), images.labels, settings.objective)?;
        run.found.note(&run.values(images), &slope.objectives);
        let size = images.size();
        for (image, patch) in run.patches.iter_mut().enumerate() {
            let by_value = &slope.by_value[image * size..][..size];
            patch.each(images.shape, |value, at| {
                let by = by_value[at];
                let sign = if by == 0.0 || by.is_nan() { 0.0 } else { by.signum() };
                *value = (*value + settings.step * sign).clamp(0.0, 1.0);
            });
        }
        run.objectives =
            victim.objectives(&run.values(images), images.labels, settings.objective)?;
        run.found.note(&run.values(images), &run.objectives);
        Ok(())
    })
}

/// Patches by random pixels and moves, from confidences alone.
///
/// # Errors
/// The victim's.
pub fn random_patch<V: Victim>(
    images: &Images<'_>,
    settings: &Patch,
    victim: &mut V,
) -> Result<Found, V::Error> {
    search(images, settings, victim, |victim, run| {
        let mut next = run.patches.clone();
        for (patch, stream) in next.iter_mut().zip(&mut run.streams) {
            patch.redraw(images.shape[2], stream);
        }
        run.accept(images, settings.objective, next, victim)
    })
}

/// A patch on one image.
#[derive(Clone, Debug)]
struct Placed {
    side: usize,
    place: [usize; 2],
    /// Values, row by row with channels last.
    values: Vec<f32>,
}

impl Placed {
    /// Calls `on` with every value of the patch and its place among the values of the image.
    fn each(&mut self, [_, width, channels]: [usize; 3], mut on: impl FnMut(&mut f32, usize)) {
        let row_values = self.side * channels;
        for (row, values) in self.values.chunks_mut(row_values).enumerate() {
            let start = ((self.place[0] + row) * width + self.place[1]) * channels;
            values.iter_mut().enumerate().for_each(|(at, value)| on(value, start + at));
        }
    }

    /// Draws the pixels of a random square within the patch anew.
    fn redraw(&mut self, channels: usize, stream: &mut Stream) {
        let side = (PROPOSED * self.side as f64).ceil() as usize;
        let [top, left] = [(); 2].map(|()| stream.below(self.side - side + 1));
        for row in top..top + side {
            let start = (row * self.side + left) * channels;
            self.values[start..start + side * channels]
                .iter_mut()
                .for_each(|value| *value = stream.unit() as f32);
        }
    }
}

/// All images of a run.
struct Run<'f> {
    patches: Vec<Placed>,
    streams: Vec<Stream>,
    objectives: Vec<f64>,
    found: &'f mut Found,
}

impl Run<'_> {
    fn values(&self, images: &Images<'_>) -> Vec<f32> {
        with(images, &self.patches)
    }

    /// Takes those of other patches that raise the objective.
    fn accept<V: Victim>(
        &mut self,
        images: &Images<'_>,
        objective: Objective,
        next: Vec<Placed>,
        victim: &mut V,
    ) -> Result<(), V::Error> {
        let values = with(images, &next);
        let objectives = victim.objectives(&values, images.labels, objective)?;
        self.found.note(&values, &objectives);
        for (image, (patch, objective)) in next.into_iter().zip(objectives).enumerate() {
            if objective > self.objectives[image] {
                (self.patches[image], self.objectives[image]) = (patch, objective);
            }
        }
        Ok(())
    }
}

/// The images under these patches.
fn with(images: &Images<'_>, patches: &[Placed]) -> Vec<f32> {
    let mut values = images.values.to_vec();
    for (image, patch) in values.chunks_mut(images.size()).zip(patches) {
        patch.clone().each(images.shape, |value, at| image[at] = *value);
    }
    values
}

fn search<V: Victim>(
    images: &Images<'_>,
    settings: &Patch,
    victim: &mut V,
    change: impl Fn(&mut V, &mut Run<'_>) -> Result<(), V::Error>,
) -> Result<Found, V::Error> {
    let [height, width, channels] = images.shape;
    let places = settings.area.places([height, width]);
    let mut found = Found::none(images);
    if places.is_empty() {
        return Ok(found);
    }
    for restart in 0..settings.restarts {
        let count = images.labels.len();
        let mut streams: Vec<Stream> =
            (0..count).map(|image| images.stream(settings.seed, KEY, image, restart)).collect();
        let side = settings.area.side;
        let start = |stream: &mut Stream| Placed {
            side,
            place: places[stream.below(places.len())],
            values: (0..side * side * channels).map(|_| stream.unit() as f32).collect(),
        };
        let patches = streams.iter_mut().map(start).collect();
        let objectives = vec![f64::NEG_INFINITY; count];
        let mut run = Run { patches, streams, objectives, found: &mut found };
        for _ in 0..settings.steps {
            change(victim, &mut run)?;
            for turn in directions(settings.moves) {
                let mut next = run.patches.clone();
                for (patch, stream) in next.iter_mut().zip(&mut run.streams) {
                    let turn = turn.unwrap_or_else(|| stream.below(4));
                    let place = moved(patch.place, turn, settings.stride);
                    let free = |&place: &[usize; 2]| settings.area.allows([height, width], place);
                    if let Some(place) = place.filter(free) {
                        patch.place = place;
                    }
                }
                run.accept(images, settings.objective, next, victim)?;
            }
        }
    }
    Ok(found)
}

/// The moves of a step: a direction, or a random one.
fn directions(moves: Moves) -> Vec<Option<usize>> {
    match moves {
        Moves::None => Vec::new(),
        Moves::Random => vec![None],
        Moves::Full => (0..4).map(Some).collect(),
    }
}

fn moved([row, col]: [usize; 2], turn: usize, by: usize) -> Option<[usize; 2]> {
    Some(match turn {
        0 => [row.checked_sub(by)?, col],
        1 => [row + by, col],
        2 => [row, col.checked_sub(by)?],
        _ => [row, col + by],
    })
}

#[cfg(test)]
mod tests;
