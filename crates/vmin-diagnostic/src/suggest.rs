//! "Did you mean", of words and of voltages, and lists of allowed words.

/// The candidate nearest to `word`, if it is near enough to be a typing error.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes time with the product of the lengths.
    let candidates =
        candidates.into_iter().filter(|candidate| word.len() <= 2 * candidate.len() + 1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + word.len().min(candidate.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "`a`, `b` or `c`".
#[must_use]
pub fn list_words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// A hint where a voltage that is not allowed, taken for volts, is.
pub fn in_volts(vdd_mv: f64, is_allowed: impl Fn(f64) -> bool) -> Option<String> {
    // Rounded, as 1000 times 0.83 is not 830.
    let meant_mv = (vdd_mv * 1e6).round() / 1e3;
    is_allowed(meant_mv).then(|| format!("voltages are in mV: {vdd_mv} V is {meant_mv}"))
}
