//! Box plots of a study as SVG: one picture a measure, structures on the x axis.

use std::fmt::Write;

use super::study::{RowName, Study};
use super::{Metric, Spread, Unit};

/// Pixels between two boxes, and half the width of one.
const STEP: f64 = 48.0;
const HALF: f64 = 13.0;
/// The plotting area: its left edge, its upper edge, its height, and the room for names below it.
const LEFT: f64 = 80.0;
const TOP: f64 = 62.0;
const HEIGHT: f64 = 340.0;
const BELOW: f64 = 150.0;
/// Room for the key, whatever the number of boxes.
const LEAST_WIDTH: f64 = 720.0;

/// One box: the row, its values in shown units, and how many cases are undefined.
struct Column<'a> {
    row: &'a RowName,
    values: Vec<f64>,
    undefined: usize,
    thesis: Option<f64>,
}

/// The y axis, in shown units.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// From zero, or for shares from below the smallest value, to above the largest.
    fn of(unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.fold((f64::INFINITY, 0f64), |(l, m), v| (l.min(v), m.max(v)));
        let (low, high) = match unit {
            Unit::Share if least.is_finite() => ((least / 10.0).floor() * 10.0, 100.0),
            Unit::Share => (0.0, 100.0),
            Unit::Mm | Unit::Cc => (0.0, if most > 0.0 { most } else { 1.0 }),
        };
        let low = if low >= high { high - 10.0 } else { low };
        // The first of 1, 2, 5, 10, 20 ... that gives at most eight steps.
        let decade = 10f64.powf(((high - low) / 8.0).log10().floor());
        let fits = |step: &f64| (high - low) / step <= 8.0;
        let step = [1.0, 2.0, 5.0].map(|n| n * decade).into_iter().find(fits).unwrap_or(10.0 * decade);
        Self { low, high: low + ((high - low) / step - 1e-9).ceil() * step, step }
    }

    fn y(&self, value: f64) -> f64 {
        TOP + HEIGHT * (self.high - value) / (self.high - self.low)
    }
}

impl Study {
    /// A box plot of one measure: box from quartile to quartile with the median, whiskers to the farthest values within
    /// 1.5 box heights, dots beyond, a cross at the mean, a diamond at the thesis's mean.
    pub fn box_plot(&self, metric: Metric) -> String {
        let rows = self.rows();
        let unit = metric.unit();
        let columns: Vec<Column> = rows
            .iter()
            .map(|row| {
                let all: Vec<Option<f64>> = self.counted(row).map(|m| metric.of(m)).collect();
                let values: Vec<f64> = all.iter().flatten().map(|v| unit.shown(*v)).collect();
                let thesis = row.pool.and_then(|pool| metric.thesis(pool)).map(|v| unit.shown(v));
                Column { row, undefined: all.len() - values.len(), values, thesis }
            })
            .collect();
        let axis = Axis::of(unit, columns.iter().flat_map(|c| c.values.iter().copied().chain(c.thesis)));
        let pools = columns.iter().filter(|c| c.row.pool.is_some()).count();
        let area = (columns.len() + 1) as f64 * STEP;
        let width = (LEFT + area + 20.0).max(LEAST_WIDTH);
        let mut svg = Svg::new(width, TOP + HEIGHT + BELOW);
        svg.text([LEFT, 24.0], "font-size='16'", &format!("{} ({})", capital(&metric.title()), unit.name()));
        let key =
            "box: quartiles, median; whiskers: within 1.5 box heights; cross: mean; red diamond: the thesis's mean";
        svg.text([LEFT, 44.0], "fill='#555'", key);
        svg.y_axis(&axis, LEFT + area);
        if pools > 0 && pools < columns.len() {
            let x = LEFT + (pools as f64 + 0.5) * STEP;
            svg.line([x, TOP], [x, TOP + HEIGHT], "stroke='#999' stroke-dasharray='4 4'");
        }
        for (n, column) in columns.iter().enumerate() {
            svg.column(LEFT + (n + 1) as f64 * STEP, column, &axis);
        }
        svg.finish()
    }
}

/// A text in SVG that grows.
struct Svg(String);

impl Svg {
    fn new(width: f64, height: f64) -> Self {
        let size = format!("width='{width:.0}' height='{height:.0}' viewBox='0 0 {width:.0} {height:.0}'");
        Self(format!(
            "<svg xmlns='http://www.w3.org/2000/svg' {size} font-family='sans-serif' font-size='12' stroke-width='1'>\n\
             <rect width='100%' height='100%' fill='white'/>\n"
        ))
    }

    fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], style: &str) {
        let _ = writeln!(self.0, "<line x1='{x1:.1}' y1='{y1:.1}' x2='{x2:.1}' y2='{y2:.1}' {style}/>");
    }

    fn text(&mut self, [x, y]: [f64; 2], style: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.0, "<text x='{x:.1}' y='{y:.1}' {style}>{text}</text>");
    }

    fn y_axis(&mut self, axis: &Axis, right: f64) {
        let steps = ((axis.high - axis.low) / axis.step).round() as usize;
        let digits = (-axis.step.log10().floor()).max(0.0) as usize;
        for n in 0..=steps {
            let value = axis.low + n as f64 * axis.step;
            let y = axis.y(value);
            self.line([LEFT, y], [right, y], "stroke='#ddd'");
            self.text([LEFT - 8.0, y + 4.0], "text-anchor='end'", &format!("{value:.digits$}"));
        }
        self.line([LEFT, TOP], [LEFT, TOP + HEIGHT], "stroke='black'");
    }

    fn column(&mut self, x: f64, column: &Column, axis: &Axis) {
        let name = TOP + HEIGHT + 34.0;
        let turned = format!("text-anchor='end' transform='rotate(-40 {x:.1} {name:.1})'");
        self.text([x, name], &turned, &column.row.name);
        let cases = match column.undefined {
            0 => format!("n={}", column.values.len()),
            undefined => format!("n={} +{undefined}?", column.values.len()),
        };
        self.text([x, TOP + HEIGHT + 16.0], "text-anchor='middle' font-size='10' fill='#555'", &cases);
        if let Some(spread) = Spread::of(&column.values) {
            self.spread(x, &spread, &column.values, axis);
        }
        if let Some(value) = column.thesis {
            let y = axis.y(value);
            let corners = [[x, y - 6.0], [x + 5.0, y], [x, y + 6.0], [x - 5.0, y]];
            let corners = corners.map(|[x, y]| format!("{x:.1},{y:.1}")).join(" ");
            let _ = writeln!(self.0, "<polygon points='{corners}' fill='#d62728'/>");
        }
    }

    fn spread(&mut self, x: f64, s: &Spread, values: &[f64], axis: &Axis) {
        let reach = 1.5 * (s.quartile3 - s.quartile1);
        let within = |v: &&f64| (s.quartile1 - reach..=s.quartile3 + reach).contains(*v);
        let whisker = values.iter().filter(within).fold((s.quartile1, s.quartile3), |(l, h), v| (l.min(*v), h.max(*v)));
        for (from, to) in [(s.quartile1, whisker.0), (s.quartile3, whisker.1)] {
            let (from, to) = (axis.y(from), axis.y(to));
            self.line([x, from], [x, to], "stroke='black'");
            self.line([x - HALF / 2.0, to], [x + HALF / 2.0, to], "stroke='black'");
        }
        let (top, bottom) = (axis.y(s.quartile3), axis.y(s.quartile1));
        let _ = writeln!(
            self.0,
            "<rect x='{:.1}' y='{top:.1}' width='{:.1}' height='{:.1}' fill='#cfe0f3' stroke='black'/>",
            x - HALF,
            2.0 * HALF,
            bottom - top
        );
        let median = axis.y(s.median);
        self.line([x - HALF, median], [x + HALF, median], "stroke='black' stroke-width='2'");
        for value in values.iter().filter(|v| !within(v)) {
            let _ =
                writeln!(self.0, "<circle cx='{x:.1}' cy='{:.1}' r='2.5' fill='none' stroke='black'/>", axis.y(*value));
        }
        let mean = axis.y(s.mean);
        self.line([x - 4.0, mean - 4.0], [x + 4.0, mean + 4.0], "stroke='#1f4e8c'");
        self.line([x - 4.0, mean + 4.0], [x + 4.0, mean - 4.0], "stroke='#1f4e8c'");
    }

    fn finish(mut self) -> String {
        self.0 += "</svg>\n";
        self.0
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_its_values_on_round_steps() {
        let axis = Axis::of(Unit::Mm, [0.0, 6.3, 17.2].into_iter());
        assert_eq!((axis.low, axis.high, axis.step), (0.0, 20.0, 5.0));
        let axis = Axis::of(Unit::Share, [96.5, 99.1].into_iter());
        assert_eq!((axis.low, axis.high, axis.step), (90.0, 100.0, 2.0));
        assert_eq!((axis.y(100.0), axis.y(90.0)), (TOP, TOP + HEIGHT));
        let axis = Axis::of(Unit::Share, [100.0].into_iter());
        assert_eq!((axis.low, axis.high), (90.0, 100.0));
        let axis = Axis::of(Unit::Mm, std::iter::empty());
        assert_eq!((axis.low, axis.high), (0.0, 1.0));
    }

    #[test]
    fn boxes_whiskers_and_dots_lie_where_the_values_are() {
        let axis = Axis { low: 0.0, high: 10.0, step: 2.0 };
        let row = RowName { name: "A<B&C".into(), pool: None };
        let column = Column { row: &row, values: vec![1.0, 2.0, 3.0, 4.0, 10.0], undefined: 2, thesis: Some(5.0) };
        let mut svg = Svg(String::new());
        svg.column(100.0, &column, &axis);
        let text = svg.finish();
        let y = |v: f64| format!("{:.1}", axis.y(v));
        // The box from 2 to 4, a whisker down to 1 and none up to 10, which is a dot.
        let height = format!("{:.1}", axis.y(2.0) - axis.y(4.0));
        assert!(text.contains(&format!("<rect x='87.0' y='{}' width='26.0' height='{height}'", y(4.0))), "{text}");
        assert!(text.contains(&format!("<line x1='100.0' y1='{}' x2='100.0' y2='{}'", y(2.0), y(1.0))));
        assert!(text.contains(&format!("<circle cx='100.0' cy='{}'", y(10.0))) && text.matches("<circle").count() == 1);
        assert!(text.contains(&format!("<polygon points='100.0,{:.1} ", axis.y(5.0) - 6.0)));
        assert!(text.contains(">n=5 +2?<") && text.contains(">A&lt;B&amp;C<"));
    }
}
