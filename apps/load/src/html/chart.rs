//! A line chart as SVG, drawn here: a report must need nothing from anywhere.

use std::fmt::Write;

use super::escape;

/// How many colours the style sheet has.
const COLOURS: usize = 8;
const WIDTH: f64 = 720.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Lines over two axes.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) height: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// A named line of points, in the axes' own units.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// From where to where, and the marks in between.
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) marks: Vec<(f64, String)>,
    /// Equal distances are equal factors.
    pub(super) logarithmic: bool,
}

impl Axis {
    /// From zero to a little over `most`, with about five marks.
    pub(super) fn from_zero(most: f64) -> Self {
        let step = round_step(most.max(1e-9) / 4.0);
        let to = (most / step).ceil().max(1.0) * step;
        let marks = marks(0.0, step, to).map(|value| (value, number(value))).collect();
        Self { from: 0.0, to, marks, logarithmic: false }
    }

    /// From below `least` to over `most`, both above zero, with marks at 1, 2 and 5 of each power of ten.
    pub(super) fn powers(least: f64, most: f64) -> Self {
        let (least, most) = (least.max(1e-3), most.max(least.max(1e-3) * 1.01));
        let mut all: Vec<f64> =
            (-3..=6).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power))).collect();
        let from = all.iter().copied().rfind(|value| *value <= least).unwrap_or(least);
        let to = all.iter().copied().find(|value| *value >= most).unwrap_or(most);
        all.retain(|value| *value >= from && *value <= to);
        Self {
            from,
            to,
            marks: all.into_iter().map(|value| (value, number(value))).collect(),
            logarithmic: true,
        }
    }

    /// Where a value lies, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(self.from).ln() } else { value };
        (scale(value) - scale(self.from)) / (scale(self.to) - scale(self.from))
    }
}

impl Chart {
    /// The chart with its title and key, as a `figure`.
    pub(super) fn figure(&self, class: &str) -> String {
        let mut key = String::new();
        for (number, line) in self.lines.iter().enumerate() {
            let _ = write!(key, "<span class=\"t{}\">■ {}</span>", number % COLOURS, escape(&line.name));
        }
        let title = escape(&self.title);
        format!(
            "<figure class=\"{class}\"><figcaption>{title}<div class=\"key\">{key}</div></figcaption>{}</figure>\n",
            self.svg()
        )
    }

    fn svg(&self) -> String {
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">", self.height);
        for (value, label) in &self.y.marks {
            let y = self.y_of(*value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\"/>",
                WIDTH - RIGHT
            );
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (value, label) in &self.x.marks {
            let (x, y) = (self.x_of(*value), self.height - BOTTOM);
            let _ =
                write!(svg, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{y:.1}\"/>");
            let _ =
                write!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", y + 16.0);
        }
        for (number, line) in self.lines.iter().enumerate() {
            let points: Vec<_> = line
                .points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", self.x_of(*x), self.y_of(*y)))
                .collect();
            let _ =
                write!(svg, "<polyline class=\"s{}\" points=\"{}\"/>", number % COLOURS, points.join(" "));
        }
        svg + "</svg>"
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        self.height - BOTTOM - self.y.place(value) * (self.height - TOP - BOTTOM)
    }
}

/// The round number (1, 2 or 5 of a power of ten) that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|n| n * power >= step * 0.999);
    round.unwrap_or(10.0) * power
}

fn marks(from: f64, step: f64, to: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(from), move |value| Some(value + step))
        .take_while(move |value| *value <= to * 1.001)
}

/// A number without digits that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn axes_have_round_marks() {
        assert_eq!(labels(&Axis::from_zero(83.0)), ["0", "50", "100"]);
        assert_eq!(labels(&Axis::from_zero(0.0)).first(), Some(&"0"));
        assert_eq!(labels(&Axis::powers(1.7, 42.0)), ["1", "2", "5", "10", "20", "50"]);
    }

    #[test]
    fn a_logarithmic_axis_gives_each_factor_the_same_room() {
        let axis = Axis::powers(1.0, 100.0);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-9);
        assert!((axis.place(0.0)).abs() < 1e-9, "what is below the axis lies at its end");
    }
}
