//! The contours of a case, and the images that they lie on.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Path, Query, case_of, colour_of, structures_of};
use crate::contour::PlaneContour;
use crate::contour::picture::{Shown, Window, contact_sheet};
use crate::dicom::data::Series;
use crate::store::StructureRow;
use crate::web::WebState;
use crate::web::error::{ApiError, Class};
use crate::web::picture::{Edges, Picture};

#[derive(Serialize)]
pub(super) struct ImageJson {
    columns: usize,
    rows: usize,
    slices: usize,
    /// mm between columns, between rows.
    spacing: [f64; 2],
    /// mm between slices.
    slice_spacing: f64,
    /// Whether contourd derived these images from the received ones.
    derived: bool,
    edges: Edges,
    window: Window,
    /// Darkest and brightest value that occurs more than by chance.
    range: Range,
}

#[derive(Serialize)]
struct Range {
    low: f32,
    high: f32,
}

pub(super) async fn image(State(state): State<WebState>, Path(id): Path<Uuid>) -> Result<Json<ImageJson>, ApiError> {
    let case = case_of(&state, id).await?.case;
    let picture = state.pictures.of(case).await?;
    let grid = picture.series.volume.grid();
    let [across, down, between] = grid.spacing();
    Ok(Json(ImageJson {
        columns: grid.shape().cols,
        rows: grid.shape().rows,
        slices: grid.shape().slices,
        spacing: [across, down],
        slice_spacing: between,
        derived: picture.derived,
        edges: Edges::of(grid.axes()),
        window: picture.window,
        range: Range { low: picture.range.0, high: picture.range.1 },
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    centre: Option<f32>,
    width: Option<f32>,
}

impl Wanted {
    fn window(&self, usual: Window) -> Result<Window, ApiError> {
        let window = Window { centre: self.centre.unwrap_or(usual.centre), width: self.width.unwrap_or(usual.width) };
        if window.centre.is_finite() && window.width.is_finite() && window.width > 0.0 {
            return Ok(window);
        }
        Err(ApiError::new(
            Class::BadRequest,
            "The window is not a finite centre with a width above zero.",
            "Leave centre and width out to get the usual window.",
        ))
    }
}

pub(super) async fn slice(
    State(state): State<WebState>,
    Path((id, file)): Path<(Uuid, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse, ApiError> {
    let case = case_of(&state, id).await?.case;
    let k: usize = file.strip_suffix(".png").and_then(|k| k.parse().ok()).ok_or_else(|| {
        ApiError::new(
            Class::BadRequest,
            "A slice is named by its number and .png.",
            "Ask for slices/0.png, for example.",
        )
    })?;
    let picture = state.pictures.of(case).await?;
    let slices = picture.series.volume.grid().shape().slices;
    if k >= slices {
        return Err(ApiError::new(
            Class::NotFound,
            format!("There is no slice {k}; the images of this case have {slices}."),
            format!("Ask for slices/0.png to slices/{}.png.", slices - 1),
        ));
    }
    let window = wanted.window(picture.window)?;
    Ok(([(CONTENT_TYPE, "image/png")], picture.png(k, window)?))
}

/// The contact sheet: slices chosen so that every structure shows, with its contours.
pub(super) async fn sheet(State(state): State<WebState>, Path(id): Path<Uuid>) -> Result<impl IntoResponse, ApiError> {
    let case = case_of(&state, id).await?.case;
    let rows = structures_of(&state, id).await?;
    let picture: std::sync::Arc<Picture> = state.pictures.of(case).await?;
    let shown = |row: &StructureRow| {
        let contours = stored_contours(row)?;
        Ok(Shown { name: row.structure.clone(), colour: colour_of(row), contours })
    };
    let structures = rows.iter().map(shown).collect::<Result<Vec<_>, ApiError>>()?;
    let drawn = tokio::task::spawn_blocking(move || contact_sheet(&picture.series.volume, &structures)).await;
    let png = drawn.map_err(|e| e.to_string()).and_then(|png| png.map_err(|e| e.to_string())).map_err(|why| {
        ApiError::new(Class::Internal, format!("The sheet cannot be drawn: {why}."), "Look into the daemon's log.")
    })?;
    Ok(([(CONTENT_TYPE, "image/png")], png))
}

fn stored_contours(row: &StructureRow) -> Result<Vec<PlaneContour>, ApiError> {
    Vec::<PlaneContour>::deserialize(&row.contours).map_err(|e| unreadable(row, e))
}

#[derive(Serialize)]
pub(super) struct Contours {
    /// Whether the images under the contours were derived by contourd.
    derived: bool,
    structures: Vec<StructureContours>,
}

#[derive(Serialize)]
struct StructureContours {
    name: String,
    colour: [u8; 3],
    found: bool,
    /// The slice in the middle of those that have a contour.
    middle_slice: Option<usize>,
    contours: Vec<Polygon>,
}

#[derive(Serialize)]
struct Polygon {
    slice: usize,
    /// (i, j) in pixels of that slice, columns and rows, integers at pixel centres.
    points: Vec<[f64; 2]>,
    /// The same corners in LPS mm.
    lps_mm: Vec<[f64; 3]>,
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn unreadable(row: &StructureRow, why: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        Class::Internal,
        format!("The stored contours of {} cannot be shown: {why}.", row.structure),
        "Look into the daemon's log; the structure set that was sent is not affected.",
    )
}

fn structure_contours(row: &StructureRow, series: &Series) -> Result<StructureContours, ApiError> {
    let stored = stored_contours(row)?;
    let mut slices: Vec<usize> = stored.iter().map(|c| c.slice).collect();
    slices.sort_unstable();
    slices.dedup();
    let contours = stored
        .into_iter()
        .map(|c| {
            let lps_mm: Option<Vec<[f64; 3]>> = c
                .points
                .iter()
                .map(|p| series.point_on_slice(c.slice, *p).map(|at| at.to_array().map(rounded)))
                .collect();
            let lps_mm = lps_mm.ok_or_else(|| unreadable(row, format!("the images have no slice {}", c.slice)))?;
            Ok(Polygon { slice: c.slice, points: c.points.into_iter().map(|p| p.map(rounded)).collect(), lps_mm })
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(StructureContours {
        name: row.structure.clone(),
        colour: colour_of(row),
        found: row.found,
        middle_slice: slices.get(slices.len() / 2).copied(),
        contours,
    })
}

pub(super) async fn contours(State(state): State<WebState>, Path(id): Path<Uuid>) -> Result<Json<Contours>, ApiError> {
    let case = case_of(&state, id).await?.case;
    let rows = structures_of(&state, id).await?;
    let picture: std::sync::Arc<Picture> = state.pictures.of(case).await?;
    let structures =
        rows.iter().map(|row| structure_contours(row, &picture.series)).collect::<Result<_, ApiError>>()?;
    Ok(Json(Contours { derived: picture.derived, structures }))
}
