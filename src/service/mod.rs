//! Receive, segment, deliver: the only room that knows the order of the stages.

mod segment;

pub use segment::{
    Order, Planes, PlanesConfig, Progress, Recipe, Report, SegmentError, Segmentation, Stage, StructureReport,
    deliver_findings, segment_series,
};
