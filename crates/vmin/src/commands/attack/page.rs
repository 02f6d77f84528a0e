//! The answer as a page.

use vmin_report::{
    AttackedLayer, BitAttackPage, BitAttackPoint, PixelAttackPage, PixelAttackRow, bit_attack_page,
    pixel_attack_page,
};

use super::bits_answer::BitAttack;
use super::pixels::Examples;
use super::pixels_answer::ImageAttack;
use crate::Failure;

pub(super) fn of_bits(of: &BitAttack) -> Result<String, Failure> {
    let json = serde_json::to_string(of).map_err(std::io::Error::from)?;
    let points = of.attacks.iter().map(|row| BitAttackPoint {
        method: row.method,
        flips: row.flips_max,
        err: row.err_attacked,
        read_wrong: row.bits_read_wrong,
        queries: row.queries,
    });
    let points: Vec<BitAttackPoint<'_>> = points.collect();
    let layers = of.layers.iter().map(|row| AttackedLayer {
        layer: row.layer.clone(),
        weights: row.weights,
        by_bit: of
            .bits
            .iter()
            .map(|bit| {
                let here = |flip: &&super::FlipRow| flip.layer == row.layer && flip.bit == bit.bit;
                of.flips.iter().filter(here).count()
            })
            .collect(),
    });
    let layers: Vec<AttackedLayer> = layers.collect();
    Ok(bit_attack_page(&BitAttackPage {
        model: &of.model,
        answer: &of.sentence(),
        err_clean: of.err_clean,
        err_attacked: of.err_attacked,
        flips: of.flips.len(),
        bits: [of.reachable_bits, of.stored_bits],
        points: &points,
        layers: &layers,
        sentences: &of.notes(),
        json: &json,
    }))
}

pub(super) fn of_pixels(of: &ImageAttack, examples: &Examples) -> Result<String, Failure> {
    let json = serde_json::to_string(of).map_err(std::io::Error::from)?;
    let rows = of.attacks.iter().zip(&examples.attacked).map(|(row, images)| PixelAttackRow {
        name: row.name(),
        epsilon: row.epsilon,
        size: row.mean_size,
        err: row.err_attacked,
        accepted: row.accepted,
        err_accepted: row.err_accepted,
        examples: images.clone(),
    });
    let rows: Vec<PixelAttackRow> = rows.collect();
    Ok(pixel_attack_page(&PixelAttackPage {
        model: &of.model,
        answer: &of.sentence(),
        rows: &rows,
        shape: examples.shape,
        examples: &examples.clean,
        sentences: &of.notes(),
        json: &json,
    }))
}
