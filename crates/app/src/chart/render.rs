//! From SVG to PNG.
//!
//! **Invariant:** only the fonts built into the program are used, so a picture is the same everywhere.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// The family that documents name.
pub(super) const FONT_FAMILY: &str = "Noto Sans";

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
    Encoding,
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
/// When the document is not SVG or has no size.
pub fn png(svg: &str) -> Result<Vec<u8>, ChartError> {
    let options = Options { font_family: FONT_FAMILY.to_owned(), fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size();
    let mut canvas = Pixmap::new(size.width(), size.height()).ok_or(ChartError::Canvas)?;
    resvg::render(&tree, Transform::identity(), &mut canvas.as_mut());
    canvas.encode_png().map_err(|_| ChartError::Encoding)
}
