//! Every mechanism of protection with settings that most sources and memories allow.

/// The table of a mechanism in a memory, as in `protection` of an experiment.
///
/// # Panics
/// The mechanism has no settings here.
#[must_use]
pub fn mechanism(kind: &str, memory: &str) -> String {
    let settings = match kind {
        "boost" => ", raise_mv = 20",
        "safe_bits" => ", bits = 2, raise_mv = 20",
        "layer_rail" => ", layers = [1, 2], raise_mv = 20",
        "bank_rail" => ", share = 0.5, raise_mv = 20",
        "spares" => ", rows = 2, columns = 1, repair_vdd_mv = 840",
        "parity" | "strongest_rows" | "permute_channels" | "rotate_bits" | "invert_rows"
        | "closest_code" | "narrow_sums" => "",
        "sum_guard" => ", images = 4, margin = 0.0",
        "recalibrate" | "compensate" => ", images = 4",
        "secded" => ", data_bits = 32",
        "detecting_read" => ", mask = \"bits\"",
        _ => panic!("`{kind}` has no settings here: add some, and a row in docs/combinations.md"),
    };
    format!("{{ kind = \"{kind}\", memory = \"{memory}\"{settings} }}")
}
