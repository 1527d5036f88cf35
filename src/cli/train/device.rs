//! The device of a run that goes on.

use elbo::Error;
use elbo::gpu::{Gpu, KernelRequest};
use elbo::nn::Variant;
use elbo::run::RunConfig;

use crate::cli::GpuArgs;

/// Opens the adapter with the kernels that the run was begun with, so that it ends with the same bits. If the adapter cannot run
/// those kernels, the run goes on with others.
///
/// # Errors
///
/// As [`Gpu::open`].
pub fn reopen(config: &RunConfig, gpu: &GpuArgs) -> Result<Gpu, Error> {
    let mut request = gpu.request();
    if matches!(request.kernels, KernelRequest::Measured) {
        request.kernels = KernelRequest::As(config.kernels.clone());
    }
    let opened = gpu.open_with(&request)?;
    let is_missing = |variant: &Variant| opened.kernel_request().names(variant.name()) && !variant.runs_on(&opened);
    if Variant::all().iter().any(is_missing) { gpu.open() } else { Ok(opened) }
}
