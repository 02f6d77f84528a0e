//! Networks that come with the program: one line here per file in `assets/`.

/// Name after `builtin:` and the bytes of the model file.
pub const BUILTIN_MODELS: &[(&str, &[u8])] =
    &[("shapes-cnn", include_bytes!("../assets/shapes-cnn.safetensors"))];

/// The bytes of a built-in model.
#[must_use]
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    BUILTIN_MODELS.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_model_loads_and_names_are_unique() {
        for (name, bytes) in BUILTIN_MODELS {
            let graph = crate::format::load(bytes, &crate::Limits::default());
            graph.unwrap_or_else(|error| panic!("builtin:{name}: {error}"));
            assert_eq!(BUILTIN_MODELS.iter().filter(|(n, _)| n == name).count(), 1);
        }
    }
}
