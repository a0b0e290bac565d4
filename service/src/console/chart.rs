//! Bars over time. The library draws with colours that stand for what they mean; the stylesheet gives them those of the theme, which
//! it can because attributes of a drawing yield to rules. A table beside it says the same to whoever does not see it.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;

use crate::console::elements::number;

/// Names of colours, in the order in which they are stacked. The stylesheet knows them.
const COLOURS: [RGBColor; 4] = [RGBColor(0xc0, 0, 1), RGBColor(0xc0, 0, 2), RGBColor(0xc0, 0, 3), RGBColor(0xc0, 0, 4)];
const GRID: RGBColor = RGBColor(0xc0, 0, 8);
const TEXT: RGBColor = RGBColor(0xc0, 0, 9);
const SIZE: (u32, u32) = (860, 240);

/// What is stacked.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// What it is called.
    pub(super) name: String,
    /// How much of it there was in each piece of time.
    pub(super) values: Vec<u64>,
}

/// A chart of up to four things over time, with its legend and its table.
pub(super) fn stacked(title: &str, labels: &[String], series: &[Series]) -> Markup {
    let total: u64 = series.iter().flat_map(|it| &it.values).sum();
    html! {
        figure.chart {
            figcaption {
                strong { (title) }
                ul.legend { @for (at, it) in series.iter().enumerate() { li class={ "series-" (at + 1) } { (it.name) } } }
            }
            div.scroll.drawing tabindex="0" role="group" aria-label=(title) { (drawing(title, total, labels, series)) }
            details {
                summary { "Show as a table" }
                div.scroll tabindex="0" role="group" aria-label={ (title) ", as a table" } {
                    table {
                        thead { tr { th scope="col" { "From" } @for it in series { th.number scope="col" { (it.name) } } } }
                        tbody {
                            @for (at, label) in labels.iter().enumerate() {
                                tr {
                                    th scope="row" { (label) }
                                    @for it in series { td.number { (number(it.values.get(at).copied().unwrap_or_default())) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn drawing(title: &str, total: u64, labels: &[String], series: &[Series]) -> Markup {
    let mut svg = String::new();
    let drawn = draw(&mut svg, labels, series).is_ok();
    // The library writes its own opening; ours says what the drawing is.
    let inner = svg.split_once("<svg").and_then(|(_, rest)| rest.split_once(">\n")).map(|(_, inner)| inner);
    let Some(inner) = inner.filter(|_| drawn) else { return html! { p.quiet { "The chart cannot be drawn; the table has its numbers." } } };
    html! {
        (PreEscaped(format!("<svg role=\"img\" viewBox=\"0 0 {} {}\" aria-labelledby=\"chart-title chart-description\">", SIZE.0, SIZE.1)))
        title id="chart-title" { (title) }
        desc id="chart-description" { (number(total)) " in all; the table below has the numbers." }
        (PreEscaped(inner.to_owned()))
    }
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

#[expect(clippy::cast_precision_loss, reason = "what is drawn is some hundred points high")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the scale begins at nothing and ends at a count")]
fn draw(svg: &mut String, labels: &[String], series: &[Series]) -> Drawn {
    let pieces = labels.len();
    let sum = |at: usize| series.iter().filter_map(|it| it.values.get(at)).sum::<u64>();
    let top = ceiling((0..pieces).map(sum).max().unwrap_or_default());
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..pieces as f64, 0.0..top as f64)?;
    let font = ("sans-serif", 13).into_font().color(&TEXT);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(font)
        .y_labels(4)
        .x_labels(8)
        .x_label_formatter(&|at| label(labels, *at))
        .y_label_formatter(&|it| number(*it as u64))
        .draw()?;
    let mut below = vec![0_u64; pieces];
    for (it, colour) in series.iter().zip(COLOURS) {
        let bars: Vec<_> = it.values.iter().take(pieces).enumerate().filter(|(_, value)| **value > 0).collect();
        let bars = bars.into_iter().map(|(at, value)| {
            let (left, bottom) = (at as f64, below.get(at).copied().unwrap_or_default());
            let corners = [(left + 0.14, bottom as f64), (left + 0.86, (bottom + value) as f64)];
            Rectangle::new(corners, colour.filled())
        });
        chart.draw_series(bars)?;
        for (below, value) in below.iter_mut().zip(&it.values) {
            *below += value;
        }
    }
    area.present()?;
    drop(chart);
    Ok(())
}

/// The label of the piece that begins there.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pieces are few and their places positive")]
fn label(labels: &[String], at: f64) -> String {
    labels.get(at as usize).filter(|_| at.fract() == 0.0).cloned().unwrap_or_default()
}

/// The least round number that is as great: 1, 2 or 5 and zeros, and at least 4.
fn ceiling(most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let round = power.saturating_mul(step);
            if round >= most.max(4) || round == u64::MAX {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_says_what_it_is_and_brings_no_style() {
        let labels: Vec<String> = (0..24).map(|it| format!("{it:02}:00")).collect();
        let series =
            [Series { name: "hard".to_owned(), values: (0..24).collect() }, Series { name: "soft".to_owned(), values: vec![1; 24] }];
        let chart = stacked("Bounces", &labels, &series).into_string();
        for part in ["<title id=\"chart-title\">Bounces</title>", "<desc", "role=\"img\"", "#C00001", "#C00002", "</svg>", "<table>"] {
            assert!(chart.contains(part), "{part} in {chart}");
        }
        for not in ["style=", "<style", "<script", "<?xml"] {
            assert!(!chart.contains(not), "{not} in {chart}");
        }
        assert_eq!(chart.matches("<svg").count(), 1);
    }

    #[test]
    fn nothing_can_be_drawn_too() {
        let chart = stacked("Bounces", &["00:00".to_owned()], &[Series { name: "hard".to_owned(), values: vec![0] }]).into_string();
        assert!(chart.contains("0 in all"), "{chart}");
        assert_eq!([0, 4, 6, 11, 51, u64::MAX].map(ceiling), [5, 5, 10, 20, 100, u64::MAX]);
    }
}
