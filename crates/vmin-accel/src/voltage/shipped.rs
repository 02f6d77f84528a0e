//! The one list of shipped profiles; `voltage-profiles/` and it agree by test.

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../voltage-profiles/", $name, ".toml")))),*]
    };
}

pub(super) const ALL: [(&str, &str); 5] =
    shipped!["sram14", "sram14-columns", "sram14-dvfs", "fpga28-kc705b", "fpga28-vc707"];
