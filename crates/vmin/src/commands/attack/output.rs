//! The folder of an attack: chips with the wrong bits, and a list of them.

use std::path::{Path, PathBuf};

use vmin_sram::{Chip, Origin};

use super::answer::BitAttack;
use crate::args::AttackArgs;
use crate::commands::chip;
use crate::failure::make_folder;
use crate::{Failure, answer, files};

/// The list of the strongest attack's wrong bits.
const LIST: &str = "flips.csv";

/// A folder whose files may be written.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Refuses, before the work, a folder with other files of these names.
    pub(super) fn new(folder: &Path, args: &AttackArgs) -> Result<Self, Failure> {
        make_folder(folder)?;
        files::check(&folder.join(LIST), files::FLIPS)?;
        let measured = Origin::Measured { source: String::new(), nesting_violations: 0 };
        for method in &args.method {
            for k in &args.flips {
                chip::check(&folder.join(format!("{}-{k}.chip", method.word())), &measured)?;
            }
        }
        Ok(Self(folder.to_owned()))
    }

    pub(super) fn write(
        &self,
        attack: &BitAttack,
        chips: &[(String, Chip)],
    ) -> Result<(), Failure> {
        for (name, chip) in chips {
            chip::write(&self.0.join(name), chip)?;
        }
        let list = answer::csv(&attack.flips)? + "\n";
        files::write(&self.0.join(LIST), list.as_bytes(), files::FLIPS)
    }
}
