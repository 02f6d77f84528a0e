//! What the digests in the names of a plan's trials stand for, in words.

use super::Plan;
use crate::store::{About, AboutWhat};

impl Plan {
    /// Words about its candidates, images and chips, for a store.
    #[must_use]
    pub fn about(&self) -> Vec<About> {
        let Self { setting, inputs, chip_ids, .. } = self;
        let candidates = self.candidates.iter().map(|candidate| {
            let words = [
                ("network", candidate.model.clone()),
                ("bits", candidate.weight_bits().to_string()),
                ("protection", candidate.protection.describe()),
                ("placement", setting.placement.clone()),
                ("accelerator", setting.accelerator.clone()),
            ];
            About::new(AboutWhat::Candidate, &candidate.id, &words)
        });
        let last = self.first_image + self.data.len() as u64;
        let range = format!("{}..{last}", self.first_image);
        let words = [("data", setting.data.clone()), ("images", range)];
        let images = About::new(AboutWhat::Images, &self.images_name(), &words);
        let files: Vec<_> = inputs.iter().filter(|input| input.role == "chip").collect();
        let chips = chip_ids.iter().enumerate().map(|(number, id)| {
            let source = match files.get(number) {
                Some(file) => ("file", file.name.clone()),
                None => ("profile", setting.profile.clone()),
            };
            let words = [
                source,
                ("fault_kind", setting.fault_kind.clone()),
                ("seed", setting.seed.clone()),
            ];
            About::new(AboutWhat::Chip, id, &words)
        });
        candidates.chain([images]).chain(chips).collect()
    }
}
