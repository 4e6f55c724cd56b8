//! A colour picture in memory: pixels, anti-aliased lines, text, PNG.

use font8x8::{BASIC_FONTS, UnicodeFonts};

use super::keyhole::nearest_on;
use super::{ContourError, Point};

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Width and height in pixels of a letter at scale 1.
pub const LETTER: usize = 8;

/// A picture; x to the right, y down, whole numbers at pixel centres.
pub struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    /// All of one colour.
    pub fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// Lays a colour over a pixel; what lies outside the picture is left out.
    pub fn blend(&mut self, x: usize, y: usize, colour: Colour, opacity: f32) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            for (old, new) in self.rgb[at..at + 3].iter_mut().zip(colour) {
                *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * opacity).round() as u8;
            }
        }
    }

    /// Fills a box.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Colour) {
        for (y, x) in (y..y + height).flat_map(|y| (x..x + width).map(move |x| (y, x))) {
            self.blend(x, y, colour, 1.0);
        }
    }

    /// Writes ASCII text with its upper left corner at (x, y).
    pub fn text(&mut self, x: usize, y: usize, scale: usize, text: &str, colour: Colour) {
        for (n, glyph) in text.chars().map(|c| BASIC_FONTS.get(c).unwrap_or_default()).enumerate() {
            for (row, bits) in glyph.into_iter().enumerate() {
                for column in (0..LETTER).filter(|c| bits >> c & 1 == 1) {
                    let left = x + (n * LETTER + column) * scale;
                    self.fill(left, y + row * scale, scale, scale, colour);
                }
            }
        }
    }

    /// Text with a dark rim, to be read on any grey.
    pub fn label(&mut self, x: usize, y: usize, scale: usize, text: &str, colour: Colour) {
        for (right, down) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
            self.text((x + right).saturating_sub(1), (y + down).saturating_sub(1), scale, text, [0; 3]);
        }
        self.text(x, y, scale, text, colour);
    }

    /// Draws closed polygons of one colour inside a box (x, y, width, height); corners are in pixels from the box's
    /// corner. Polygons are drawn together, so that lines that meet do not darken one another.
    pub fn polygons(&mut self, frame: [usize; 4], polygons: &[Vec<Point>], line_width: f64, colour: Colour) {
        let [left, top, width, height] = frame;
        let mut cover = vec![0.0f32; width * height];
        let reach = line_width / 2.0 + 0.5;
        let range = |a: f64, b: f64, end: usize| {
            let first = (a.min(b) - reach).ceil().max(0.0) as usize;
            first..((a.max(b) + reach).floor() + 1.0).clamp(0.0, end as f64) as usize
        };
        for polygon in polygons {
            for (a, b) in polygon.iter().zip(polygon.iter().cycle().skip(1)) {
                for y in range(a[1], b[1], height) {
                    for x in range(a[0], b[0], width) {
                        let here = [x as f64, y as f64];
                        let on = nearest_on(*a, *b, here, [1.0; 2]);
                        let share = (reach - (here[0] - on[0]).hypot(here[1] - on[1])).clamp(0.0, 1.0) as f32;
                        let pixel = &mut cover[y * width + x];
                        *pixel = pixel.max(share);
                    }
                }
            }
        }
        for (at, share) in cover.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            self.blend(left + at % width, top + at / width, colour, *share);
        }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`ContourError::Picture`].
    pub fn png(&self) -> Result<Vec<u8>, ContourError> {
        let failed = |e: &dyn std::error::Error| ContourError::Picture(e.to_string());
        let (width, height) =
            u32::try_from(self.width).and_then(|w| Ok((w, u32::try_from(self.height)?))).map_err(|e| failed(&e))?;
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(|e| failed(&e))?;
        writer.write_image_data(&self.rgb).map_err(|e| failed(&e))?;
        writer.finish().map_err(|e| failed(&e))?;
        Ok(out)
    }
}
