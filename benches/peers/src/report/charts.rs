//! The charts, as SVG on a light background of their own, so that they can be read in dark pages too.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

use super::chart_style::{INK, OURS, PALE, THEIRS, text};
use crate::in_process::measure::{KNOWN, PLAIN};
use crate::in_process::peers::Role;
use crate::in_process::results::{Accepted, Measured, Results};

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 960;
const ROW: u32 = 44;
const NAMES: u32 = 240;
const SHOWN: [&str; 2] = ["RS256", "ES256"];
/// µs, at the ends of the scale.
const SCALE: (f64, f64) = (0.05, 2000.0);

/// What a request costs with each, RS256 and ES256, on a logarithmic scale. None where one of the two was not measured.
///
/// # Panics
/// If it cannot be written.
pub fn peers(results: &Results, path: &Path) -> Option<()> {
    let of = |name: &str| results.algorithms.iter().find(|measured| measured.algorithm == name);
    let [first, second] = SHOWN.map(of);
    let algorithms = [first?, second?];
    let shown = |row: &&Accepted| match row.role {
        Role::Nothing | Role::KnowsOne => false,
        Role::Knows => row.label == KNOWN || row.label == PLAIN,
        _ => true,
    };
    let mut rows: Vec<&Accepted> = algorithms[0].accepted.iter().filter(shown).collect();
    rows.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    let height = ROW * u32::try_from(rows.len()).ok()? + 150;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    draw_peers(&root, &rows, algorithms).expect("a chart on the disk");
    Some(())
}

/// How the cost of a known credential grows with how many are known. None where nothing of the kind was measured.
///
/// # Panics
/// If it cannot be written.
pub fn growth(results: &Value, path: &Path) -> Option<()> {
    let tables = results["tables"].as_array()?;
    let point = |row: &Value| Some((row["known"].as_f64()?, row["ns beyond empty"].as_f64()?));
    let points = tables
        .iter()
        .find_map(|table| table["rows"].as_array()?.iter().map(point).collect::<Option<Vec<_>>>())?;
    let root = SVGBackend::new(path, (WIDTH, 420)).into_drawing_area();
    draw_growth(&root, &points).expect("a chart on the disk");
    Some(())
}

fn draw_peers(root: &Area<'_>, rows: &[&Accepted], algorithms: [&Measured; 2]) -> Drawn {
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(root)
        .caption("Cost of one accepted request beyond a layer that does nothing", text(20))
        .margin(14)
        .margin_right(60)
        .x_label_area_size(56)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((SCALE.0..SCALE.1).log_scale(), 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(INK)
        .x_desc("µs per request, logarithmic; above RS256, below ES256; blue: portcullis")
        .x_label_formatter(&|micros| format!("{micros}"))
        .label_style(text(14))
        .draw()?;
    let before = text(15).pos(Pos::new(HPos::Right, VPos::Center));
    let behind = text(13).pos(Pos::new(HPos::Left, VPos::Center));
    for (place, row) in rows.iter().enumerate() {
        let base = place as f64;
        let name = Text::new(row.label.clone(), (-10, 0), before.clone());
        chart.draw_series([EmptyElement::at((SCALE.0, base + 0.5)) + name])?;
        for (which, measured) in algorithms.into_iter().enumerate() {
            let same = measured.accepted.iter().find(|other| other.label == row.label);
            let Some(cost) = same.and_then(|row| row.beyond) else { continue };
            let colors = if row.label.starts_with("portcullis") { OURS } else { THEIRS };
            let bottom = base + if which == 0 { 0.5 } else { 0.12 };
            let corners = [(SCALE.0, bottom), (cost.median, bottom + 0.38)];
            chart.draw_series([Rectangle::new(corners, colors[which].filled())])?;
            let label =
                Text::new(format!("{} {}", SHOWN[which], digits(cost.median)), (6, 0), behind.clone());
            chart.draw_series([EmptyElement::at((cost.median, bottom + 0.19)) + label])?;
        }
    }
    root.present()?;
    Ok(())
}

fn draw_growth(root: &Area<'_>, points: &[(f64, f64)]) -> Drawn {
    root.fill(&WHITE)?;
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (fewest, most) = ends(&mut points.iter().map(|(known, _)| *known));
    let (_, dearest) = ends(&mut points.iter().map(|(_, nanos)| *nanos));
    let mut chart = ChartBuilder::on(root)
        .caption("Cost of a known credential, by how many are known", text(20))
        .margin(14)
        .margin_right(60)
        .x_label_area_size(56)
        .y_label_area_size(70)
        .build_cartesian_2d((fewest..most).log_scale(), 0.0..dearest * 1.15)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(INK)
        .x_desc("known credentials, logarithmic")
        .y_desc("ns beyond an empty service")
        .x_label_formatter(&|known| format!("{known:.0}"))
        .y_label_formatter(&|nanos| format!("{nanos:.0}"))
        .label_style(text(14))
        .draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), OURS[0].stroke_width(2)))?;
    let above = text(13).pos(Pos::new(HPos::Center, VPos::Bottom));
    for (known, nanos) in points {
        let label = Text::new(format!("{nanos:.0}"), (0, -8), above.clone());
        let dot = Circle::new((0, 0), 4, OURS[0].filled());
        chart.draw_series([EmptyElement::at((*known, *nanos)) + dot + label])?;
    }
    root.present()?;
    Ok(())
}

fn cost(row: &Accepted) -> f64 {
    row.beyond.map_or(0.0, |beyond| beyond.median)
}

fn digits(micros: f64) -> String {
    if micros < 10.0 { format!("{micros:.2} µs") } else { format!("{micros:.0} µs") }
}
