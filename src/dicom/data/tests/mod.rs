mod derived;
mod files;
mod folder;
mod limits;
mod pixels;
mod rtstruct;
mod stack;
pub mod support;
mod validate;
