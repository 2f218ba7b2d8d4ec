//! The charts, as SVG on a light background of their own, so that they can be read in dark pages too.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::in_process::peers::Role;
use crate::in_process::results::{Accepted, Measured, Results};

const WIDTH: u32 = 900;
const ROW: u32 = 46;
const NAMES: u32 = 260;
const INK: RGBColor = RGBColor(36, 41, 47);
const PALE: RGBColor = RGBColor(208, 215, 222);
/// Ours and theirs, by algorithm: dark enough on white, and told apart by who cannot tell red from green.
const OURS: [RGBColor; 2] = [RGBColor(0, 90, 181), RGBColor(97, 168, 232)];
const THEIRS: [RGBColor; 2] = [RGBColor(170, 90, 10), RGBColor(230, 165, 95)];
const SHOWN: [&str; 2] = ["RS256", "ES256"];

/// What a request costs with each, RS256 and ES256, on a logarithmic scale.
///
/// # Panics
/// If it cannot be written.
pub fn peers(results: &Results, path: &Path) {
    let of = |name: &str| results.algorithms.iter().find(|measured| measured.algorithm == name);
    let [Some(first), Some(second)] = SHOWN.map(of) else {
        eprintln!("NO RESULTS for both algorithms: {} stays as it was", path.display());
        return;
    };
    let mut rows: Vec<&Accepted> =
        first.accepted.iter().filter(|row| row.beyond.is_some() && row.role != Role::KnowsOne).collect();
    rows.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    draw(&rows, [first, second], path).expect("a chart on the disk");
    eprintln!("wrote {}", path.display());
}

fn draw(
    rows: &[&Accepted],
    algorithms: [&Measured; 2],
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let height = ROW * u32::try_from(rows.len())? + 130;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (low, high) = (0.05, 1000.0);
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "Cost of one accepted request, beyond a layer that does nothing",
            ("sans-serif", 20).into_font().color(&INK),
        )
        .margin(12)
        .margin_right(70)
        .x_label_area_size(48)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((low..high).log_scale(), 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(INK)
        .x_desc("µs per request (logarithmic)")
        .x_label_formatter(&|micros| format!("{micros}"))
        .label_style(("sans-serif", 14).into_font().color(&INK))
        .draw()?;
    let right = ("sans-serif", 15).into_font().color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
    let left = ("sans-serif", 13).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (place, row) in rows.iter().enumerate() {
        let base = place as f64;
        chart.draw_series([
            EmptyElement::at((low, base + 0.5)) + Text::new(row.label.clone(), (-10, 0), right.clone())
        ])?;
        for (which, measured) in algorithms.iter().enumerate() {
            let Some(cost) =
                measured.accepted.iter().find(|other| other.label == row.label).and_then(|row| row.beyond)
            else {
                continue;
            };
            let colors = if row.label.starts_with("portcullis") { OURS } else { THEIRS };
            // The first algorithm stands above the second.
            let bottom = base + if which == 0 { 0.5 } else { 0.12 };
            let (from, to) = ((low, bottom), (cost.median, bottom + 0.38));
            chart.draw_series([Rectangle::new([from, to], colors[which].filled())])?;
            let label = format!("{} µs, {}", digits(cost.median), SHOWN[which]);
            chart.draw_series([
                EmptyElement::at((cost.median, bottom + 0.19)) + Text::new(label, (6, 0), left.clone())
            ])?;
        }
    }
    root.present()?;
    Ok(())
}

fn cost(row: &Accepted) -> f64 {
    row.beyond.map_or(0.0, |beyond| beyond.median)
}

fn digits(micros: f64) -> String {
    if micros < 10.0 { format!("{micros:.2}") } else { format!("{micros:.0}") }
}
