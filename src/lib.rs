#![doc = include_str!("README.md")]

pub mod anatomy;
pub mod cli;
pub mod config;
pub mod contour;
pub mod dicom;
pub mod domain;
pub mod evaluation;
pub mod geometry;
pub mod ids;
pub mod inference;
pub mod phantom;
pub mod routing;
pub mod service;
pub mod store;
pub mod training;
pub mod web;
