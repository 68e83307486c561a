//! How fast something grows, by least squares.

/// The slope of the line that is nearest to the points; nothing where they are fewer than two.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = f64::from(u32::try_from(points.len()).ok().filter(|count| *count > 1)?);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let common: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (spread > 0.0).then(|| common / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_changes_it_little() {
        let line: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x))).collect();
        assert!((slope(&line).expect("points") - 2.0).abs() < 1e-9);
        let flat: Vec<_> = (0..100).map(|x| (f64::from(x), f64::from(x % 2))).collect();
        assert!(slope(&flat).expect("points").abs() < 0.01);
        assert_eq!(slope(&line[..1]), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}
