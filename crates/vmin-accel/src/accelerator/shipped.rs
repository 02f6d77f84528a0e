//! The one list of shipped accelerators; `accel-models/` and it agree by test.

pub(super) const ALL: &[(&str, &str)] = crate::shipped::shipped!(
    "accel-models":
    "gemmini-16",
    "gemmini-32",
    "nvdla-small",
    "nvdla-full",
    "tpu-v1",
    "ethos-u55-256",
    "eyeriss-size",
    "lowvolt-14nm",
    "max78000",
    "edge-14nm",
);

#[cfg(test)]
mod tests {
    use crate::Accelerator;

    #[test]
    fn list_and_folder_agree_and_every_file_is_valid() {
        let mut listed = Accelerator::names();
        listed.sort_unstable();
        assert_eq!(vmin_testkit::toml_names("accel-models"), listed);
        for (name, _) in super::ALL {
            let accelerator = Accelerator::load(name).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(accelerator.name(), *name);
        }
    }
}
