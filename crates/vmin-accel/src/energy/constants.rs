//! Sets of constants by technology node: pJ per action of logic and SRAM, each with its source.

use super::sram::{self, Bank, Sram};

/// A shipped set of constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstantSet {
    /// 45 nm, 0.9 V: published figures.
    Nm45,
    /// 28 nm: interpolated.
    Nm28,
    /// 14 nm, 0.8 V: scaled from 45 nm.
    Nm14,
    /// 7 nm: published multiply-accumulate, the rest scaled.
    Nm7,
}

/// Energy of 14 nm at 0.8 V relative to 45 nm at 0.9 V.
const NM45_TO_NM14: f64 = 0.114;
const STILLMAKER: &str =
    "A. Stillmaker and B. Baas, Integration 58 (2017), 45 nm 0.9 V to 14 nm 0.8 V: x 0.114";
const HOROWITZ_MAC: &str =
    "M. Horowitz, ISSCC 2014, 45 nm 0.9 V: int8 multiply 0.2 pJ + int32 add 0.1 pJ";
const QKERAS_VECTOR: &str = "QKeras energy formula, 45 nm: fixed-point multiply 0.0029948 b^2 + 0.0010417 b \
                             and add 0.003125 b at b = 32";
const ALADDIN_REGISTER: &str =
    "Y. S. Shao et al., Aladdin, ISCA 2014, 40 nm register at 1 ns: 0.009 pJ per bit";
const TPU_V4I_MAC: &str = "AccelForge, tpu_v4i, 7 nm: 0.084 pJ";
const CACTI_PLUGIN: &str =
    "accelergy-cacti-plug-in: below 22 nm energy goes with the square root of the node";
const CACTI_PLUGIN_LEAKAGE: &str = "accelergy-cacti-plug-in: below 22 nm leakage goes with the square root of the \
                                    node, times 0.79";
const MAC_PJ_45: f64 = 0.3;
const MAC_PJ_7: f64 = 0.084;
const VECTOR_PJ_45: f64 = 0.002_994_8 * 1024.0 + 0.001_041_7 * 32.0 + 0.003_125 * 32.0;
const REGISTER_PJ_45: f64 = 0.009;

/// A unit of logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logic {
    /// One int8 multiply with int32 accumulation.
    Mac,
    /// One 32-bit multiply and add.
    Vector,
    /// One bit written to a register.
    RegisterBit,
}

impl ConstantSet {
    /// Every set with its word.
    pub const ALL: [(&'static str, Self); 4] =
        [("45nm", Self::Nm45), ("28nm", Self::Nm28), ("14nm", Self::Nm14), ("7nm", Self::Nm7)];

    /// Length of the node's name, in nm.
    #[must_use]
    pub const fn node_nm(self) -> f64 {
        match self {
            Self::Nm45 => 45.0,
            Self::Nm28 => 28.0,
            Self::Nm14 => 14.0,
            Self::Nm7 => 7.0,
        }
    }

    /// pJ of a unit of logic, with its source.
    pub(super) fn logic(self, unit: Logic) -> (f64, String) {
        let (pj, source) = match unit {
            Logic::Mac => (MAC_PJ_45, HOROWITZ_MAC),
            Logic::Vector => (VECTOR_PJ_45, QKERAS_VECTOR),
            Logic::RegisterBit => (REGISTER_PJ_45, ALADDIN_REGISTER),
        };
        match self {
            Self::Nm45 => (pj, source.to_owned()),
            Self::Nm28 => {
                // Log-linear in the node between 45 nm (1) and 14 nm (0.114).
                let share = libm::log(45.0 / 28.0) / libm::log(45.0 / 14.0);
                let factor = libm::pow(NM45_TO_NM14, share);
                (
                    pj * factor,
                    format!("{source}; derived: between 45 and 14 nm on log axes of {STILLMAKER}"),
                )
            }
            Self::Nm14 => (pj * NM45_TO_NM14, format!("{source}; {STILLMAKER}")),
            Self::Nm7 => match unit {
                Logic::Mac => (MAC_PJ_7, TPU_V4I_MAC.to_owned()),
                Logic::Vector | Logic::RegisterBit => (
                    pj * (MAC_PJ_7 / MAC_PJ_45),
                    format!(
                        "{source}; estimated: scaled as the MAC from {HOROWITZ_MAC} to {TPU_V4I_MAC}"
                    ),
                ),
            },
        }
    }

    /// A bank of a memory, with the sources of its energies, its leakage and its cycle time.
    pub(crate) fn sram(self, bank: Bank) -> (Sram, SramSources) {
        let shape =
            format!("bank of {} KiB, {}-bit words", bank.bytes / 1024.0, bank.word_bytes * 8.0);
        let cacti = format!("CACTI, {} SRAM, 300 K", bank.cells.name());
        let at = |node: &str| format!("{cacti}, {node}; interpolated for a {shape}");
        match self {
            Self::Nm45 => (sram::nm45(bank), SramSources::all(at("45 nm"))),
            Self::Nm28 => (
                sram::nm28(bank),
                SramSources::all(format!(
                    "{cacti}; interpolated between 32 and 22 nm for a {shape}"
                )),
            ),
            Self::Nm14 => {
                let (nm45, below_22) = (sram::nm45(bank), below_22(bank, self.node_nm()));
                let sram = Sram {
                    read_pj: nm45.read_pj * NM45_TO_NM14,
                    write_pj: nm45.write_pj * NM45_TO_NM14,
                    ..below_22
                };
                let energy = format!("{}; {STILLMAKER}", at("45 nm"));
                (sram, SramSources { energy, ..SramSources::below_22(&at("22 nm")) })
            }
            Self::Nm7 => (below_22(bank, self.node_nm()), SramSources::below_22(&at("22 nm"))),
        }
    }
}

/// Where the numbers of a memory come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SramSources {
    pub energy: String,
    pub leakage: String,
    pub cycle: String,
}

impl SramSources {
    fn all(source: String) -> Self {
        Self { energy: source.clone(), leakage: source.clone(), cycle: source }
    }

    fn below_22(at_22: &str) -> Self {
        Self {
            energy: format!("{at_22}; estimated: {CACTI_PLUGIN}"),
            leakage: format!("{at_22}; estimated: {CACTI_PLUGIN_LEAKAGE}"),
            cycle: format!("{at_22}; estimated: no faster below 22 nm"),
        }
    }
}

/// A bank below 22 nm.
fn below_22(bank: Bank, node_nm: f64) -> Sram {
    let nm22 = sram::nm22(bank);
    let root = libm::sqrt(node_nm / 22.0);
    Sram {
        read_pj: nm22.read_pj * root,
        write_pj: nm22.write_pj * root,
        leakage_uw_per_kib: nm22.leakage_uw_per_kib * root * 0.79,
        cycle_ns: nm22.cycle_ns,
    }
}
