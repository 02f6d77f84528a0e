//! The answer as a page.

use vmin_report::{NoiseBudget, NoisePage, NoiseRow, Strip, noise_page};

use super::{BUDGETS, Noise, Row, pictures::Pictures};
use crate::Failure;

pub(super) fn page(of: &Noise, swept_mv: &[f64]) -> Result<String, Failure> {
    let json = serde_json::to_string(of).map_err(std::io::Error::from)?;
    let row = |row: &Row| NoiseRow {
        vdd_mv: row.vdd_mv,
        memory: row.memory,
        tensor: row.tensor.clone(),
        changed_share: row.changed_share,
        l0: [row.pixels_mean.unwrap_or(row.l0_mean), row.pixels_max.unwrap_or(row.l0_max)],
        l1: [row.l1_mean, row.l1_max],
        l2: [row.l2_mean, row.l2_max],
        linf: [row.linf_mean, row.linf_max],
        hamming: [row.hamming_mean, row.hamming_max],
        relative_l2: row.relative_l2_mean,
    };
    let rows: Vec<NoiseRow> = of.rows.iter().map(row).collect();
    let budgets =
        BUDGETS.map(|of| NoiseBudget { set: of.set, norms: [of.l0, of.l1, of.l2, of.linf] });
    let strips = of.pictures.as_ref().map_or_else(Vec::new, |of| strips(of, swept_mv));
    Ok(noise_page(&NoisePage {
        model: &of.model,
        data: &of.data,
        accelerator: &of.accelerator,
        chips: of.chips,
        images: of.images,
        rows: &rows,
        budgets: &budgets,
        source: super::SOURCE,
        shape: of.pictures.as_ref().map_or([0; 3], |of| of.shape),
        strips: &strips,
        json: &json,
    }))
}

/// The clean images, and below each other those of each supply.
fn strips<'p>(of: &'p Pictures, swept_mv: &[f64]) -> Vec<Strip<'p>> {
    let clean = Strip { label: "clean".to_owned(), images: &of.clean };
    let at = |(vdd_mv, images): (&f64, &'p Vec<Vec<u8>>)| Strip {
        label: format!("{vdd_mv} mV"),
        images,
    };
    std::iter::once(clean).chain(swept_mv.iter().zip(&of.read).map(at)).collect()
}
