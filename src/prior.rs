//! Priors p(z): what latents look like before any data are seen.

pub mod standard_normal;
