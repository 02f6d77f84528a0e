//! Keys of attacks on images, and of moved weights.

use vmin_attack::Norm;
use vmin_attack::image::Start;
use vmin_attack::patch::Moves;
use vmin_diagnostic::{TableReader, Variant};

use super::super::attack::{ImageAttack, ImageSearch, PatchSearch, WeightPerturbation};
use super::{INTEGERS, NUMBERS, SIZES, integer, size, value};

/// Every attack with its word and its keys.
pub(super) const ATTACKS: [(&str, Variant<ImageAttack>); 3] =
    [("pgd", Variant::Keys(pgd)), ("ccat", Variant::Keys(ccat)), ("patch", Variant::Keys(patch))];

fn pgd(keys: &TableReader<'_>) -> Option<ImageAttack> {
    Some(ImageAttack::Pgd(search(keys)?))
}

fn ccat(keys: &TableReader<'_>) -> Option<ImageAttack> {
    let rho = number(keys, "rho", 10.0);
    Some(ImageAttack::Ccat { search: search(keys)?, rho })
}

fn search(keys: &TableReader<'_>) -> Option<ImageSearch> {
    let norm = value(keys.optional_choice("norm", &Norm::WORDS)).unwrap_or(Norm::Linf);
    let step = match norm {
        Norm::Linf | Norm::L2 | Norm::L1 => 0.1,
        Norm::L0 => 1.0,
    };
    let epsilon = value(keys.number("epsilon", NUMBERS));
    let steps = integer(keys.integer("steps", SIZES));
    let start = value(keys.optional_choice("start", &Start::WORDS)).unwrap_or(Start::Random);
    let step = number(keys, "step", step);
    let momentum = number(keys, "momentum", 0.9);
    let backtracking = number(keys, "backtracking", 1.5);
    let share = number(keys, "share", 0.5);
    let (epsilon, steps) = (epsilon?, steps?);
    Some(ImageSearch { norm, epsilon, steps, step, momentum, backtracking, start, share })
}

fn patch(keys: &TableReader<'_>) -> Option<ImageAttack> {
    let (side, steps) = (size(keys, "side"), integer(keys.integer("steps", SIZES)));
    let centre = integer(keys.optional_integer("centre", INTEGERS)).unwrap_or(0);
    let step = number(keys, "step", 0.1);
    let moves = value(keys.optional_choice("moves", &Moves::WORDS)).unwrap_or(Moves::Full);
    let stride = integer(keys.optional_integer("stride", SIZES)).unwrap_or(2);
    let share = number(keys, "share", 0.5);
    let (side, steps) = (side?, steps?);
    Some(ImageAttack::Patch(PatchSearch { side, centre, steps, step, moves, stride, share }))
}

pub(super) fn weight_perturbation(keys: &TableReader<'_>) -> WeightPerturbation {
    WeightPerturbation { gamma: value(keys.number("gamma", NUMBERS)).unwrap_or(0.0) }
}

fn number(keys: &TableReader<'_>, key: &str, usual: f64) -> f64 {
    value(keys.optional_number(key, NUMBERS)).unwrap_or(usual)
}
