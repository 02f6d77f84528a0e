//! How much memory a sweep takes: what measuring a chip took here, for as many chips as threads.

use std::path::Path;

/// Values of memory are multiples of so many MiB.
const STEP_MIB: u64 = 64;

/// The value of `measure`, which works on one chip at a time, and the memory of a process that works on `chips` at
/// once, in MiB; unknown where the system does not tell.
pub(super) fn of_chips<T>(chips: usize, measure: impl FnOnce() -> T) -> (T, Option<u64>) {
    // The highest size so far is that of now again. Where that is refused, it may stem from the loading of files.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = kib("VmRSS:");
    let value = measure();
    let highest = kib("VmHWM:");
    (value, before.zip(highest).map(|(before, highest)| estimate(before, highest, chips)))
}

/// A quarter more than the size before and, for each chip, what the measurement took on top.
fn estimate(before_kib: u64, highest_kib: u64, chips: usize) -> u64 {
    let each = highest_kib.saturating_sub(before_kib);
    let all = before_kib.saturating_add(each.saturating_mul(chips as u64));
    let with_spare = all.saturating_add(all / 4);
    with_spare.div_ceil(STEP_MIB << 10) * STEP_MIB
}

/// A line of this process's status on Linux, in KiB.
fn kib(key: &str) -> Option<u64> {
    let status = vmin_files::text("status", Path::new("/proc/self/status")).ok()?;
    let line = status.text().lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chip_takes_what_one_took() {
        assert_eq!(estimate(100 << 10, 100 << 10, 8), 128);
        assert_eq!(estimate(100 << 10, 200 << 10, 1), 256);
        assert_eq!(estimate(100 << 10, 200 << 10, 4), 640);
        assert_eq!(estimate(0, 0, 0), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_measurement_takes_is_seen() {
        let (kept, memory) = of_chips(2, || vec![1u8; 64 << 20]);
        assert!(memory.is_some_and(|mib| mib >= 128), "{memory:?} for {}", kept.len());
    }
}
