//! Networks, images, accelerators and profiles by the names users give.

use vmin_accel::{Accelerator, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_nn::data::{Dataset, Limits, Split};
use vmin_nn::{Graph, ModelError};

use crate::failure::{Failure, with_causes};

/// A network: a file or `builtin:NAME`, re-quantized if asked.
pub(crate) fn model(name: &str, bits: Option<u8>) -> Result<Graph, Failure> {
    let graph = vmin_nn::model::load(name).map_err(|error| match &error {
        ModelError::Io { .. } | ModelError::UnknownModel { .. } => Failure::input("model", &error),
        other => Diagnostic::new("model", format!("`{name}`: {}", with_causes(other))).into(),
    })?;
    match bits {
        None => Ok(graph),
        Some(bits) => {
            vmin_nn::with_weight_bits(&graph, bits).map_err(|error| Failure::input("model", &error))
        }
    }
}

/// The test images of a set.
pub(crate) fn images(name: &str) -> Result<Dataset, Failure> {
    vmin_nn::data::load(name, Split::Test, Limits::default())
        .map_err(|error| Diagnostic::new("data", with_causes(&error)).hint(error.hint()).into())
}

/// An accelerator: a shipped name or a file.
pub(crate) fn accelerator(name: &str) -> Result<Accelerator, Diagnostics> {
    Accelerator::load(name)
}

/// A voltage profile: a shipped name or a file.
pub(crate) fn profile(name: &str) -> Result<VoltageProfile, Diagnostics> {
    VoltageProfile::load(name)
}

/// Refuses a voltage that the profile does not reach.
pub(crate) fn check_voltage(profile: &VoltageProfile, vdd_mv: f64) -> Result<(), Failure> {
    let range = profile.vdd_mv_range();
    if range.contains(&vdd_mv) {
        return Ok(());
    }
    Err(Diagnostic::new(
        "out-of-range",
        format!("profile `{}` does not reach {vdd_mv} mV", profile.name()),
    )
    .allowed(format!("expected {} to {} mV", range.start(), range.end()))
    .into())
}
