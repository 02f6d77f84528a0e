//! The one list of shipped profiles; `voltage-profiles/` and it agree by test.

pub(super) const ALL: &[(&str, &str)] = crate::shipped::shipped!(
    "voltage-profiles": "sram14", "sram14-columns", "sram14-dvfs", "fpga28-kc705b", "fpga28-vc707"
);
