use super::*;

fn shipped() -> Vec<VoltageProfile> {
    let load = |name| VoltageProfile::load(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    VoltageProfile::names().into_iter().map(load).collect()
}

fn problems(text: &str) -> String {
    VoltageProfile::parse(&Source::new("bad.toml", text)).unwrap_err().to_string()
}

#[test]
fn list_and_folder_agree_and_every_file_is_valid() {
    let mut listed = VoltageProfile::names();
    listed.sort_unstable();
    assert_eq!(vmin_testkit::toml_names("voltage-profiles"), listed);
    let names: Vec<_> = shipped().iter().map(|profile| profile.name().to_owned()).collect();
    assert_eq!(names, VoltageProfile::names());
}

#[test]
fn published_points_are_reproduced() {
    for profile in shipped() {
        assert_eq!(profile.measured().len(), 7, "{}", profile.name());
        for point in profile.measured() {
            let rate = profile.cell_fault_rate(point.vdd_mv);
            if point.cell_fault_rate == 0.0 {
                // No failure in 2^20 cells is what the fit expects: 0.05 failures.
                assert!(rate > 4.5e-8 && rate < 5.5e-8, "{rate}");
            } else if profile.name().starts_with("sram14") {
                assert_eq!(rate, point.cell_fault_rate);
            } else {
                use vmin_sram::normal::quantile;
                let residual = quantile(rate) - quantile(point.cell_fault_rate);
                // The largest residual that each file states for its fit.
                let stated = if profile.name() == "fpga28-kc705b" { 0.06 } else { 0.0654 };
                assert!(residual.abs() <= stated, "{} {point:?} {residual}", profile.name());
            }
            if let Some(energy) = point.access_energy {
                let scale = profile.access_energy_scale(point.vdd_mv);
                assert!((scale - energy).abs() < 5e-7, "{point:?} {scale}");
            }
        }
    }
}

#[test]
fn the_rate_never_rises_with_the_voltage() {
    for profile in shipped() {
        let mut before = (1.0, Threshold(i32::MIN));
        for step in 0..130_000 {
            let vdd_mv = f64::from(step) * 0.01 + 0.003;
            let now = (profile.cell_fault_rate(vdd_mv), profile.threshold(vdd_mv));
            assert!(now.0 <= before.0 && now.1 >= before.1, "{} {vdd_mv}", profile.name());
            assert!((0.0..=1.0).contains(&now.0));
            before = now;
        }
        for point in profile.measured() {
            let around = [-1e-9, 0.0, 1e-9].map(|d| profile.cell_fault_rate(point.vdd_mv + d));
            assert!(around[0] >= around[1] && around[1] >= around[2], "{around:?}");
        }
        assert_eq!(profile.threshold(f64::NAN), Threshold::ALWAYS);
    }
}

#[test]
fn relative_voltages_scale_energy_by_their_square_and_the_clock_stays() {
    let profile = VoltageProfile::load("sram14").unwrap();
    for k in 18..=24 {
        let ratio = f64::from(k) / 24.0;
        assert!((profile.access_energy_scale(1000.0 * ratio) - ratio * ratio).abs() < 1e-15);
        assert!((profile.leakage_scale(1000.0 * ratio) - ratio).abs() < 1e-15);
        assert_eq!(profile.f_max_scale(1000.0 * ratio), 1.0);
    }
}

const GOOD: &str = include_str!("../../../../voltage-profiles/sram14.toml");

#[test]
fn optional_laws_are_followed() {
    let text = format!(
        "{}\n[leakage]\nmv_per_decade = 500.0\n[clock]\nthreshold_mv = 400.0\nalpha = 1.5\n",
        GOOD.replace("share_on_scaled_rail = 1.0", "share_on_scaled_rail = 0.26")
    );
    let profile = VoltageProfile::parse(&Source::new("x.toml", &text)).unwrap();
    assert!((profile.access_energy_scale(500.0) - (0.26 * 0.25 + 0.74)).abs() < 1e-15);
    assert!((profile.leakage_scale(500.0) - 0.05).abs() < 1e-15);
    assert_eq!(profile.f_max_scale(400.0), 0.0);
    assert!((profile.f_max_scale(1000.0) - 1.0).abs() < 1e-15);
    let expected = libm::pow(300.0 / 600.0, 1.5) * 1000.0 / 700.0;
    assert!((profile.f_max_scale(700.0) - expected).abs() < 1e-15);
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let text = GOOD
        .replace("vmin_mv = 1000.0", "vmin_mv = nan")
        .replace("vdd_mv_range = [705.0, 1200.0]", "vdd_mv_range = [1200.0, 705.0]")
        .replace("kind = \"points\"", "kind = \"point\"")
        .replace("sigma_mv = 55.3", "sigma_mv = 0")
        .replace("cell = 1.0", "cell = 0.5")
        .replace("share_stuck_at_0", "share_stuck_at_1")
        .replace("cell_fault_rate = 0.01115", "cell_fault_rate = 0.2")
        .replace("vdd_mv = 875.0", "vdd_mv = 800");
    let told = problems(&text);
    for expected in [
        "`vmin_mv` is not a finite number",
        "`vdd_mv_range` is not a range",
        "did you mean `points`?",
        "`curve.sigma_mv` is out of range",
        "missing key `share_stuck_at_0`",
        "unknown key `share_stuck_at_1`",
        "the cell-fault rate does not fall",
        "measured voltages do not rise",
    ] {
        assert!(told.contains(expected), "{expected:?} is missing in\n{told}");
    }
}

#[test]
fn each_rule_across_values_is_checked() {
    let cases = [
        ("cell = 1.0", "cell = 0.5", "sum to 0.5"),
        ("[705.0, 1200.0]", "[600.0, 1200.0]", "of the cells is faulty"),
        ("[705.0, 1200.0]", "[705.0]", "expected two rising voltages"),
        ("[energy]", "[clock]\nthreshold_mv = 1000\nalpha = 1.3\n[energy]", "do not conduct"),
        ("[provenance]", "[provenance]\nauthor = \"x\"", "unknown key `author`"),
        ("0.0             # 0 of 2^20", "-0.1", "out of range"),
    ];
    for (from, to, expected) in cases {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let told = problems(&text);
        assert!(told.contains(expected), "{expected:?} is missing in\n{told}");
    }
    let start = GOOD.find("[[measured]]").unwrap();
    let end = GOOD.find("[population]").unwrap();
    let told = problems(&format!("{}{}", &GOOD[..start], &GOOD[end..]));
    assert!(told.contains("the curve has no points"), "{told}");
}

#[test]
fn any_cut_of_a_file_is_refused_without_panic() {
    for end in 0..GOOD.len() {
        if let Some(text) = GOOD.get(..end) {
            let _ = VoltageProfile::parse(&Source::new("cut.toml", text));
        }
    }
}

#[test]
fn a_profile_at_another_vmin_says_the_same_of_the_same_share() {
    for name in ["sram14", "sram14-columns", "sram14-dvfs"] {
        let profile = VoltageProfile::load(name).unwrap();
        assert_eq!(profile.reference(), VddReference::Vmin { unit_mv: 1000.0 });
        let own = profile.at_vmin(780.0);
        assert_eq!((own.reference(), own.v_ref_mv()), (VddReference::Absolute, 780.0));
        let laws: [fn(&VoltageProfile, f64) -> f64; 4] = [
            VoltageProfile::cell_fault_rate,
            VoltageProfile::access_energy_scale,
            VoltageProfile::leakage_scale,
            VoltageProfile::f_max_scale,
        ];
        for step in 0..60 {
            let share = 0.71 + 0.007 * f64::from(step);
            for law in laws {
                let (a, b) = (law(&profile, 1000.0 * share), law(&own, 780.0 * share));
                assert!((a - b).abs() <= 1e-9 * a, "{name} at {share}: {a} and {b}");
            }
        }
    }
    assert_eq!(VoltageProfile::load("fpga28-vc707").unwrap().reference(), VddReference::Absolute);
}
