//! What the tests share: one device for the whole binary. No adapter is a failure, not a skip.

pub mod synthetic;

use std::sync::OnceLock;

use elbo::gpu::{AdapterRequest, Gpu};

/// The device that all tests use.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        Gpu::open(&AdapterRequest::default()).unwrap_or_else(|error| panic!("the tests need an adapter: {error}"))
    })
}
