//! The commands of the binary that are more than a few lines.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod doctor;
pub(crate) mod run;
