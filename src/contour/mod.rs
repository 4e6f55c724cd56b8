//! Masks on a series' own planes to polygons and back.
