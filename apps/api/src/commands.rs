//! What the binary does beside serving.

pub(crate) mod doctor;
