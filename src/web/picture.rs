//! The images under the contours: read from the stored files, put together as the contours' grid was, windowed, drawn.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;

use super::error::{ApiError, Class};
use crate::contour::picture::Window;
use crate::dicom::data::{Refusals, Series, assemble, parse_instances};
use crate::geometry::{Vec3, quantile};
use crate::store::{Blobs, Case, CaseState, PgStore};

/// Where the patient's sides lie on the picture: R right, L left, A anterior, P posterior, H head, F feet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Edges {
    left: String,
    right: String,
    top: String,
    bottom: String,
}

impl Edges {
    /// From the directions of growing columns, rows and slices. Columns grow to the right of the picture, rows down.
    pub(super) fn of([across, down, _]: [Vec3; 3]) -> Self {
        Self { left: (across * -1.0).sides(), right: across.sides(), top: (down * -1.0).sides(), bottom: down.sides() }
    }
}

/// One case's images.
pub(super) struct Picture {
    pub(super) series: Series,
    /// Whether contourd derived the images.
    pub(super) derived: bool,
    /// The window it is first shown with.
    pub(super) window: Window,
    /// Darkest and brightest value, outliers left out.
    pub(super) range: (f32, f32),
}

impl Picture {
    fn new(series: Series, derived: bool) -> Self {
        let data = series.volume.data();
        // A part of the voxels tells the range as well as all of them.
        let at = |q| quantile(data.iter().step_by((data.len() / 100_000).max(1)).copied(), q);
        let window = Window::of(&series.volume);
        Self { window, range: (at(0.0), at(0.9995).max(window.centre + window.width / 2.0)), series, derived }
    }

    fn bytes(&self) -> usize {
        std::mem::size_of_val(self.series.volume.data())
    }

    /// Slice k as an 8-bit grey PNG, with the pixels' size in it.
    pub(super) fn png(&self, k: usize, window: Window) -> Result<Vec<u8>, ApiError> {
        let grid = self.series.volume.grid();
        let grey: Vec<u8> = self.series.volume.slice(k).iter().map(|v| window.grey(*v)).collect();
        let [across, down, _] = grid.spacing();
        encode(grid.shape().cols, grid.shape().rows, [across, down], &grey).map_err(|e| {
            ApiError::new(Class::Internal, format!("The slice cannot be drawn: {e}."), "Look into the daemon's log.")
        })
    }
}

/// Grey PNG; `spacing` in mm between columns and rows goes into it as pixels per metre (chunk pHYs).
fn encode(columns: usize, rows: usize, spacing: [f64; 2], grey: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let [xppu, yppu] = spacing.map(|mm| (1000.0 / mm).round() as u32);
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu, yppu, unit: png::Unit::Meter }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(grey)?;
    writer.finish()?;
    Ok(out)
}

type Cell = Arc<OnceCell<Arc<Picture>>>;

/// Images of the cases looked at last, kept in memory up to a limit.
pub(super) struct Pictures {
    store: PgStore,
    blobs: Blobs,
    limit_bytes: usize,
    /// Least recently used first. A cell that is not filled yet is being read.
    kept: Mutex<Vec<(Uuid, Cell)>>,
}

impl Pictures {
    pub(super) fn new(store: PgStore, blobs: Blobs, limit_mib: usize) -> Self {
        Self { store, blobs, limit_bytes: limit_mib << 20, kept: Mutex::new(Vec::new()) }
    }

    /// The images that the contours of a case lie on. Asked for by several at once, they are read once.
    ///
    /// # Errors
    /// The store, or files that do not make a series.
    pub(super) async fn of(self: &Arc<Self>, case: Case) -> Result<Arc<Picture>, ApiError> {
        let unfinished = matches!(case.state, CaseState::Receiving | CaseState::Queued | CaseState::Segmenting)
            // A failed segmentation may be tried again, and then end on derived planes.
            || case.state == CaseState::Failed && case.model_name.is_none();
        if unfinished {
            // What is there now may be a part of the series, or other planes: kept, it would lie under the contours.
            return Err(ApiError::new(
                Class::Conflict,
                "This case has no pictures yet: its series is not contoured.",
                "Ask again when it is delivering or delivered.",
            ));
        }
        if case.purged_at.is_some() {
            return Err(ApiError::new(
                Class::NotFound,
                "The images of this case were deleted, because they need not be kept any more.",
                "The contours are where they were delivered; the rules of keeping are in the section [keep].",
            ));
        }
        let id = case.id;
        let cell = {
            let mut kept = self.kept.lock().await;
            let entry = match kept.iter().position(|(other, _)| *other == id) {
                Some(at) => kept.remove(at),
                None => (id, Cell::default()),
            };
            let cell = Arc::clone(&entry.1);
            kept.push(entry);
            cell
        };
        // A task of its own: reading goes on when the one who asked gives up, and the next one finds it done.
        let this = Arc::clone(self);
        let reading = tokio::spawn(async move {
            let picture = cell.get_or_try_init(|| this.read(&case)).await.cloned();
            this.tidy(id, picture.is_err()).await;
            picture
        });
        reading.await.unwrap_or_else(|_| {
            Err(ApiError::new(Class::Internal, "Reading the images was broken off.", "Reload the page."))
        })
    }

    /// Forgets what failed and, beyond the limit, what was not looked at for longest.
    async fn tidy(&self, id: Uuid, failed: bool) {
        let mut kept = self.kept.lock().await;
        if failed {
            kept.retain(|(other, cell)| *other != id || cell.initialized());
        }
        let size = |(_, cell): &(Uuid, Cell)| cell.get().map_or(0, |p| p.bytes());
        while kept.len() > 1 && kept.iter().map(size).sum::<usize>() > self.limit_bytes {
            kept.remove(0);
        }
    }

    async fn read(&self, case: &Case) -> Result<Arc<Picture>, ApiError> {
        let images = self.store.images_of(case).await?;
        let mut files = Vec::with_capacity(images.files.len());
        for file in &images.files {
            files.push(self.blobs.get(&file.blob_key, &file.sha256).await?);
        }
        let derived = images.derived;
        let read =
            move || -> Result<Picture, Refusals> { Ok(Picture::new(assemble(parse_instances(&files)?)?, derived)) };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(picture)) => Ok(Arc::new(picture)),
            Ok(Err(refusals)) => Err(ApiError::new(
                Class::Conflict,
                format!("The images of this case cannot be shown: {refusals}"),
                "See the reason on the case.",
            )),
            Err(_) => Err(ApiError::new(Class::Internal, "Reading the images failed.", "Look into the daemon's log.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_the_patient() {
        let unit = |x, y, z| Vec3::new(x, y, z).unit().unwrap();
        let axial = Edges::of([unit(1.0, 0.0, 0.0), unit(0.0, 1.0, 0.0), unit(0.0, 0.0, 1.0)]);
        // Radiological view: the patient's right is on the picture's left.
        assert_eq!([&*axial.left, &*axial.right, &*axial.top, &*axial.bottom], ["R", "L", "A", "P"]);
        let sagittal = Edges::of([unit(0.0, 1.0, 0.0), unit(0.0, 0.0, -1.0), unit(-1.0, 0.0, 0.0)]);
        assert_eq!([&*sagittal.left, &*sagittal.right, &*sagittal.top, &*sagittal.bottom], ["A", "P", "H", "F"]);
        let turned = Edges::of([unit(0.9, 0.44, 0.0), unit(-0.44, 0.9, 0.1), unit(0.0, 0.0, 1.0)]);
        assert_eq!([&*turned.left, &*turned.right, &*turned.top, &*turned.bottom], ["RA", "LP", "AL", "PR"]);
        let prone = Edges::of([unit(-1.0, 0.1, 0.0), unit(-0.1, -1.0, 0.0), unit(0.0, 0.0, 1.0)]);
        assert_eq!([&*prone.left, &*prone.top], ["L", "P"]);
    }

    #[test]
    fn the_png_keeps_grey_values_and_the_size_of_pixels() {
        let grey = [0u8, 10, 20, 30, 40, 250];
        let bytes = encode(3, 2, [0.5, 0.8], &grey).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let dims = reader.info().pixel_dims.unwrap();
        assert_eq!((dims.xppu, dims.yppu), (2000, 1250));
        let mut pixels = vec![0; 6];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, grey);
        assert_eq!((reader.info().width, reader.info().height), (3, 2));
    }
}
