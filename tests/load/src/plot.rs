//! Charts as SVG: what the service answers and how long that takes, over what it is asked.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// A line of a chart.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How the upward axis is divided.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scale {
    Linear,
    Logarithmic,
}

/// What a chart shows.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) upward: &'static str,
    pub(crate) scale: Scale,
    pub(crate) curves: Vec<Curve>,
}

/// Of which the lines are, distinguishable without colours by their names at the side.
const COLOURS: [RGBColor; 4] = [RGBColor(31, 119, 180), RGBColor(214, 39, 40), RGBColor(44, 160, 44), RGBColor(148, 103, 189)];

impl Chart {
    /// Draws it into a file.
    pub(crate) fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let area = SVGBackend::new(path, (960, 540)).into_drawing_area();
        area.fill(&WHITE).map_err(|it| anyhow!("{it}"))?;
        let points = || self.curves.iter().flat_map(|it| it.points.iter().copied());
        let right = points().map(|it| it.0).fold(1.0, f64::max) * 1.05;
        let top = points().map(|it| it.1).fold(0.001, f64::max) * 1.2;
        let bottom = points().map(|it| it.1).filter(|it| *it > 0.0).fold(top, f64::min);
        match self.scale {
            Scale::Linear => self.draw_on(&area, right, 0.0..top),
            Scale::Logarithmic => self.draw_on(&area, right, (bottom / 2.0..top).log_scale()),
        }?;
        area.present().map_err(|it| anyhow!("{it}"))
    }

    fn draw_on<Upward>(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, right: f64, upward: Upward) -> anyhow::Result<()>
    where
        Upward: AsRangedCoord<Value = f64>,
        Upward::CoordDescType: ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..right, upward)
            .map_err(|it| anyhow!("{it}"))?;
        chart.configure_mesh().x_desc(self.across).y_desc(self.upward).draw().map_err(|it| anyhow!("{it}"))?;
        for (curve, colour) in self.curves.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)).point_size(3);
            let drawn = chart.draw_series(line).map_err(|it| anyhow!("{it}"))?;
            drawn.label(curve.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).border_style(BLACK);
        labels.draw().map_err(|it| anyhow!("{it}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_drawn_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let curves = vec![Curve { name: "p99", points: vec![(100.0, 1.5), (200.0, 20.0)] }];
            let chart = Chart { title: "Posts".to_owned(), across: "asked a second", upward: "ms", scale, curves };
            let path = folder.path().join("chart.svg");
            chart.draw(&path).unwrap();
            let text = std::fs::read_to_string(path).unwrap();
            assert!(["<svg", "Posts", "asked a second", "p99"].iter().all(|it| text.contains(it)), "{text}");
        }
    }
}
