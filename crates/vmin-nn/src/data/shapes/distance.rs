//! Signed distance from a point to each shape: negative inside, in pixels.

/// A point in the shape's own axes, in pixels from its centre.
pub(super) type Point = [f64; 2];

/// Signed distance from `point` to the shape of `class`, of radius `r` and half stroke `w`.
pub(super) fn to_shape(class: u8, point: Point, r: f64, w: f64) -> f64 {
    let [x, y] = point;
    let side = 0.76 * r;
    match class {
        0 => length(point) - 0.88 * r,
        1 => (length(point) - 0.85 * r).abs() - w,
        2 => to_box(point, side, side),
        3 => to_box(point, side, side).abs() - w,
        4 => to_triangle(point, r),
        5 => to_box(point, r, 1.1 * w).min(to_box(point, 1.1 * w, r)),
        6 => to_box(point, r, 1.5 * w),
        7 => length([x.abs() - 0.62 * r, y]) - 0.36 * r,
        8 => to_segment([x.abs(), y], [0.0, -0.65 * r], [0.75 * r, 0.65 * r]) - w,
        _ => {
            let top = to_segment(point, [-0.8 * r, -0.7 * r], [0.8 * r, -0.7 * r]);
            top.min(to_segment(point, [0.0, -0.7 * r], [0.0, 0.95 * r])) - w
        }
    }
}

fn length([x, y]: Point) -> f64 {
    (x * x + y * y).sqrt()
}

/// A box of half sides `a`, `b`.
fn to_box([x, y]: Point, a: f64, b: f64) -> f64 {
    let [u, v] = [x.abs() - a, y.abs() - b];
    length([u.max(0.0), v.max(0.0)]) + u.max(v).min(0.0)
}

/// The largest distance to the three sides of an equilateral triangle: exact inside.
fn to_triangle([x, y]: Point, r: f64) -> f64 {
    let half_sqrt3 = 3_f64.sqrt() / 2.0;
    let side = (half_sqrt3 * x.abs()) - 0.5 * y;
    side.max(y) - 0.52 * r
}

/// The segment from `a` to `b`.
fn to_segment([x, y]: Point, a: Point, b: Point) -> f64 {
    let along = [b[0] - a[0], b[1] - a[1]];
    let from = [x - a[0], y - a[1]];
    let norm = along[0] * along[0] + along[1] * along[1];
    let t = ((from[0] * along[0] + from[1] * along[1]) / norm).clamp(0.0, 1.0);
    length([from[0] - t * along[0], from[1] - t * along[1]])
}
