//! Ranges of attacks on images and of moved weights.

use super::super::attack::{ImageAttack, ImageSearch, PatchSearch, WeightPerturbation};
use super::Problems;
use crate::Recipe;
use crate::bit_errors::Method;

impl Problems {
    pub(super) fn attack(&mut self, recipe: &Recipe) {
        match &recipe.attack {
            Some(ImageAttack::Pgd(search)) => self.search("attack.pgd", search),
            Some(ImageAttack::Ccat { search, rho }) => {
                self.search("attack.ccat", search);
                self.positive("attack.ccat.rho", *rho);
            }
            Some(ImageAttack::Patch(search)) => self.patch(search),
            None => {}
        }
        let Some(WeightPerturbation { gamma }) = recipe.weight_perturbation else { return };
        let fine = gamma.is_finite() && gamma >= 0.0;
        self.value(fine, "weight_perturbation.gamma", &gamma, "0 or more");
        let expected = "no `sharpness` beside `weight_perturbation`: both move the weights";
        self.beside(recipe.sharpness.is_none(), "sharpness", &"another ascent", expected);
        let method = recipe.bit_errors.as_ref().map_or(Method::Average, |errors| errors.method);
        let (fine, found) = match method {
            Method::Average => (true, "average"),
            Method::Alternating => (false, "alternating"),
            Method::Perturbed => (true, "perturbed"),
        };
        let expected = "`average` or `perturbed` beside `weight_perturbation`";
        self.beside(fine, "bit_errors.method", &found, expected);
    }

    fn search(&mut self, table: &str, search: &ImageSearch) {
        let ImageSearch { epsilon, steps, step, momentum, backtracking, share, .. } = search;
        let key = |key: &str| format!("{table}.{key}");
        let fine = epsilon.is_finite() && *epsilon >= 0.0;
        self.value(fine, key("epsilon"), epsilon, "0 or more");
        self.value(*steps > 0, key("steps"), steps, "1 or more");
        self.positive(key("step"), *step);
        let fine = (0.0..1.0).contains(momentum);
        self.value(fine, key("momentum"), momentum, "0 or more and below 1");
        let fine = backtracking.is_finite() && *backtracking >= 1.0;
        self.value(fine, key("backtracking"), backtracking, "1 or more");
        self.value((0.0..=1.0).contains(share), key("share"), share, "0 to 1");
    }

    fn patch(&mut self, search: &PatchSearch) {
        let PatchSearch { side, steps, step, stride, share, .. } = search;
        self.value(*side > 0, "attack.patch.side", side, "1 or more");
        self.value(*steps > 0, "attack.patch.steps", steps, "1 or more");
        self.positive("attack.patch.step", *step);
        self.value(*stride > 0, "attack.patch.stride", stride, "1 or more");
        self.value((0.0..=1.0).contains(share), "attack.patch.share", share, "0 to 1");
    }
}
