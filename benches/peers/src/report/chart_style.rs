//! How charts look.

use plotters::prelude::*;

pub const INK: RGBColor = RGBColor(36, 41, 47);
pub const PALE: RGBColor = RGBColor(208, 215, 222);
/// Ours and theirs, by algorithm: told apart by who cannot tell red from green, too.
pub const OURS: [RGBColor; 2] = [RGBColor(0, 90, 181), RGBColor(97, 168, 232)];
pub const THEIRS: [RGBColor; 2] = [RGBColor(170, 90, 10), RGBColor(230, 165, 95)];

/// Text of this many pixels.
pub fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}
