//! Takes a deployment back: from files to a chip whose memories hold what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use vmin_accel::PerMemory;
use vmin_diagnostic::Diagnostic;
use vmin_emulator::{Deployment, Image, OpenChip};
use vmin_files::sha256;
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_protection::store::Storage;

use super::super::setup::{Asked, Setup};
use super::manifest::{MANIFEST, Manifest, Subject, VERSION, network_sha256, predictions_sha256};
use super::{AGAIN, images, tables};
use crate::Failure;
use crate::args::OnChipArgs;

/// Deployments of one network on one or several chips.
pub(crate) struct Given {
    chips: BTreeMap<u32, (PathBuf, Manifest)>,
    first: u32,
}

/// What one chip is to hold.
pub(crate) struct Own {
    /// The network with its biases.
    pub(crate) graph: Graph,
    images: Vec<Image>,
    storages: PerMemory<Storage>,
    folder: PathBuf,
    chip: u32,
}

fn problem(message: String) -> Diagnostic {
    Diagnostic::new("deployment", message).hint(AGAIN)
}

/// The folders of the chips of a deployment of several, or the folder itself.
fn folders(folder: &Path) -> Vec<PathBuf> {
    if folder.join(MANIFEST).is_file() {
        return vec![folder.to_owned()];
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_chip = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.starts_with("chip-")) && path.join(MANIFEST).is_file()
    };
    entries.map(|entry| entry.path()).filter(of_chip).collect()
}

impl Manifest {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(MANIFEST);
        let source = vmin_files::text("manifest", &path).map_err(|error| error.diagnostic())?;
        let manifest: Self = serde_json::from_str(source.text())
            .map_err(|error| problem(format!("`{}`: {error}", path.display())))?;
        if manifest.deployment_version != VERSION {
            let message = format!(
                "`{}` is of version {}, this program reads version {VERSION}",
                path.display(),
                manifest.deployment_version
            );
            return Err(problem(message).into());
        }
        Ok(manifest)
    }
}

impl Given {
    /// The deployments of a folder.
    ///
    /// # Errors
    /// There are none, or not those of one run.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let mut chips = BTreeMap::new();
        for folder in folders(folder) {
            let manifest = Manifest::read(&folder)?;
            chips.insert(manifest.chip, (folder, manifest));
        }
        let Some((&first, (_, of_first))) = chips.first_key_value() else {
            return Err(problem(format!("`{}` holds no deployment", folder.display())).into());
        };
        let alike = |of: &Manifest| {
            let key = |of: &Manifest| (of.model.clone(), of.on_chip.clone(), of.remedies.clone());
            key(of) == key(of_first)
        };
        if let Some((other, _)) = chips.values().find(|(_, of)| !alike(of)) {
            let message = format!("`{}` is not of the same run as the others", other.display());
            return Err(problem(message).into());
        }
        Ok(Self { chips, first })
    }

    fn manifest(&self) -> &Manifest {
        &self.chips[&self.first].1
    }

    pub(crate) fn model(&self) -> &str {
        &self.manifest().model
    }

    pub(crate) fn on_chip(&self) -> &OnChipArgs {
        &self.manifest().on_chip
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        let mechanisms = &self.manifest().remedies;
        Asked { option: "--remedy", mechanisms, if_of_use: false }
    }

    /// Numbers of the chips.
    pub(crate) fn chips(&self) -> Vec<u32> {
        self.chips.keys().copied().collect()
    }

    /// Refuses a network, an accelerator or chips that are not those of the deployment.
    pub(crate) fn check(&self, graph: &Graph, setup: &Setup) -> Result<(), Failure> {
        let network = network_sha256(graph)?;
        for (&chip, (folder, manifest)) in &self.chips {
            let at = folder.join(MANIFEST);
            if !setup.chips.range.contains(&chip) {
                let message = format!("`{}`: there is no chip {chip}", at.display());
                return Err(problem(message).into());
            }
            if let Some(what) = manifest.subject.differs(&Subject::of(&network, setup, chip)?) {
                let message = format!("`{}`: {what} is not that of the deployment", at.display());
                return Err(problem(message)
                    .hint("names of files start at the working folder, as when it was made")
                    .into());
            }
        }
        Ok(())
    }

    /// What a chip is to hold.
    ///
    /// # Errors
    /// A file is missing or not that of the manifest, or does not fit the network.
    pub(crate) fn read(&self, chip: u32, graph: &Graph, setup: &Setup) -> Result<Own, Failure> {
        let (folder, manifest) = &self.chips[&chip];
        let mut files = BTreeMap::new();
        for (name, digest) in &manifest.files {
            let path = folder.join(name);
            if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                let message =
                    format!("`{}`: `{name}` is no file of the deployment", path.display());
                return Err(problem(message).into());
            }
            let bytes = vmin_files::bytes("file of the deployment", &path)
                .map_err(|error| error.diagnostic().hint(AGAIN))?;
            if sha256(&bytes) != *digest {
                let message = format!("`{}` is not the file that was deployed", path.display());
                return Err(Diagnostic::new("changed-file", message).hint(AGAIN).into());
            }
            if is_read(name) {
                files.insert(name.clone(), bytes);
            }
        }
        let file = |name: &str| -> Result<&Vec<u8>, Failure> {
            let missing = || problem(format!("`{}` is missing", folder.join(name).display()));
            files.get(name).ok_or_else(|| missing().into())
        };
        let geometries =
            PerMemory::from_fn(|memory| setup.accelerator.memories.get(memory).geometry);
        let columns = geometries.weight.columns();
        Ok(Own {
            graph: tables::with_biases(graph.clone(), &files)?,
            images: images::read(file(images::BIN)?, file(images::INDEX)?, columns)?,
            storages: tables::storages(graph, &files, &geometries)?,
            folder: folder.clone(),
            chip,
        })
    }

    /// Refuses predictions other than those of the deployment on the same images.
    pub(crate) fn agrees(
        &self,
        chip: u32,
        data: &Dataset,
        first_image: u64,
        predictions: &[usize],
    ) -> Result<(), Failure> {
        let (folder, manifest) = &self.chips[&chip];
        let Some(expected) = &manifest.expected else { return Ok(()) };
        let same = expected.first_image == first_image && expected.data_sha256 == data.sha256();
        if same && expected.predictions_sha256 != predictions_sha256(predictions) {
            let message = format!(
                "chip {chip} predicts other classes than `{}` expects",
                folder.join(MANIFEST).display()
            );
            return Err(Failure::failed(problem(message)));
        }
        Ok(())
    }
}

/// Files that decide what the chip does; the others say the same in other forms.
fn is_read(name: &str) -> bool {
    [images::BIN, images::INDEX].contains(&name) || name.ends_with(".csv") && !name.contains('/')
}

impl Own {
    /// The chip with these memories.
    pub(crate) fn open<'c>(
        &self,
        deployment: &'c Deployment<'c>,
        setup: &'c Setup,
    ) -> Result<OpenChip<'c>, Failure> {
        let supplies = &setup.chips.supplies;
        let open = setup.open(deployment, self.chip, supplies)?;
        open.with_images(supplies, &self.images, self.storages.clone()).map_err(|error| {
            problem(format!("`{}`: {error}", self.folder.join(images::BIN).display())).into()
        })
    }
}

/// Every file of the deployments in a folder, relative to it.
pub(super) fn all_files(folder: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut all = BTreeSet::from([PathBuf::from(super::SUMMARY)]);
    for of_chip in folders(folder) {
        let manifest = Manifest::read(&of_chip)?;
        let below = of_chip.strip_prefix(folder).unwrap_or(&of_chip);
        all.insert(below.join(MANIFEST));
        all.extend(manifest.files.keys().map(|name| below.join(name)));
    }
    Ok(all)
}
