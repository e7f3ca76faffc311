//! From SVG to PNG.
//!
//! **Invariant:** only the fonts built into the program are used, so a picture is the same everywhere.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// The family that documents name.
pub(super) const FONT_FAMILY: &str = "Noto Sans";

/// How hard to compress. Of plain areas this makes smaller files without filters than harder levels do with them, in a
/// third of the time; a level or two less is no quicker, and half as large again.
const LEVEL: u8 = 3;
/// What most pictures stay below.
const INITIAL_BYTES: usize = 96 * 1_024;

/// The chart could not be drawn, which is a defect: its document is our own.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The document is not SVG.
    #[error("the chart's document is not SVG")]
    Document(#[from] resvg::usvg::Error),
    /// There is no memory for it, or it has no size.
    #[error("the chart has no canvas")]
    Canvas,
    /// It cannot be compressed.
    #[error("the chart cannot be written as PNG")]
    Encoding(#[from] png::EncodingError),
}

/// The fonts, read once: parsing them takes longer than drawing a chart. They are under the SIL Open Font Licence.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(notosans::REGULAR_TTF.to_vec());
    fonts.load_font_data(notosans::BOLD_TTF.to_vec());
    fonts.set_sans_serif_family(FONT_FAMILY);
    Arc::new(fonts)
});

/// Reads the fonts ahead of the first picture.
pub fn warm_up() {
    LazyLock::force(&FONTS);
}

/// Draws a document.
///
/// # Errors
/// When the document is not SVG, has no size, or cannot be compressed.
pub fn png(svg: &str) -> Result<Vec<u8>, ChartError> {
    let options = Options { font_family: FONT_FAMILY.to_owned(), fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size();
    let mut canvas = Pixmap::new(size.width(), size.height()).ok_or(ChartError::Canvas)?;
    resvg::render(&tree, Transform::identity(), &mut canvas.as_mut());
    encode(&canvas)
}

/// Writes a canvas that is opaque everywhere, as every chart's ground is.
fn encode(canvas: &Pixmap) -> Result<Vec<u8>, ChartError> {
    let mut opaque = Vec::with_capacity(canvas.pixels().len() * 3);
    for pixel in canvas.pixels() {
        opaque.extend_from_slice(&[pixel.red(), pixel.green(), pixel.blue()]);
    }
    let mut file = Vec::with_capacity(INITIAL_BYTES);
    let mut encoder = png::Encoder::new(&mut file, canvas.width(), canvas.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_deflate_compression(png::DeflateCompression::Level(LEVEL));
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&opaque)?;
    writer.finish()?;
    Ok(file)
}
