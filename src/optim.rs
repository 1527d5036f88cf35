//! Optimisers and the schedules of their learning rate.

mod adam;
pub mod schedule;

pub use adam::Adam;
