//! Energy of an inference at the supplies of the memories.

use vmin_accel::energy::{Components, EnergyReport, OperatingPoint, per_inference};
use vmin_accel::{Memory, VoltageProfile};
use vmin_emulator::{Deployment, Supplies};
use vmin_nn::Graph;
use vmin_protection::{ProtectedEnergy, ProtectedLayers, ProtectionCosts, protected_energy};

use super::Setup;
use crate::Failure;

/// Energies of an inference.
pub(crate) struct Priced<'s> {
    /// Of the network without protection at nominal supplies.
    pub(crate) nominal: EnergyReport,
    /// At the supplies asked for, under protection.
    pub(crate) energy: ProtectedEnergy,
    /// The profile that tells them.
    pub(crate) profile: &'s VoltageProfile,
}

impl Priced<'_> {
    /// Energy of the accesses of the memories that err, over that at nominal supplies.
    pub(crate) fn access_share(&self, supplies: &Supplies) -> f64 {
        let accesses = |parts: &Components| {
            let nj = |memory| match memory {
                Memory::Weight => parts.weight_memory_nj,
                Memory::Activation => parts.activation_memory_nj,
                Memory::Accumulator => parts.accumulator_memory_nj,
            };
            supplies.present().map(|(memory, _)| nj(memory)).sum::<f64>()
        };
        accesses(&self.energy.by_component) / accesses(&self.nominal.by_component)
    }
}

impl Setup {
    /// Energy of an inference at these supplies; none without a profile.
    ///
    /// # Errors
    /// The network does not fit the accelerator.
    pub(crate) fn energy(
        &self,
        graph: &Graph,
        deployment: &Deployment<'_>,
        costs: &ProtectionCosts,
        supplies: &Supplies,
    ) -> Result<Option<Priced<'_>>, Failure> {
        let Self { accelerator, placement, typed, chips, .. } = self;
        let Some(profile) = &chips.profile else { return Ok(None) };
        let layers = |share_of_sums| {
            vmin_sweep::priced_layers(accelerator, graph, placement, share_of_sums)
                .map_err(|error| Failure::input("does-not-fit", &error))
        };
        let at_nominal = OperatingPoint::nominal(profile);
        let (unprotected, _) = layers(1.0)?;
        let nominal = per_inference(accelerator, profile, &unprotected, &at_nominal);
        let supplied = supplies.present().map(|(memory, at)| (memory.rail(), at.access.base()));
        let supplied = supplied.filter(|(_, at)| at.vdd_mv > 0.0);
        let point = supplied.fold(at_nominal, |point, (rail, at)| point.with(rail, at.vdd_mv));
        let protection = typed.protection();
        let (reports, weighted) = layers(protection.share_of_sums())?;
        let banks_used = deployment.banks_used();
        let layers = ProtectedLayers { reports: &reports, weighted: &weighted, banks_used };
        let energy = protected_energy(accelerator, profile, layers, protection, costs, &point);
        Ok(Some(Priced { nominal, energy, profile }))
    }
}
