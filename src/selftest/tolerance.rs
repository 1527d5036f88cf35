//! How far a conformant driver may be from the exact result, derived from what the graphics APIs promise.
//!
//! Sources: WGSL, section "Floating point accuracy"; Vulkan, "Precision and Operation of SPIR-V Instructions"; the
//! Direct3D 11.3 functional specification. Where they differ, the loosest counts. Most adapters do much better; the
//! bound is for an unusual but conformant one. Where a formula consists of several operations, their errors are summed
//! to first order; [`Want::near`](super::compare::Want::near) covers the rest.

/// A unit in the last place, relative. Sums, differences and products are correctly rounded, but in which direction is
/// left open: one whole unit.
pub const ULP: f64 = f32::EPSILON as f64;

/// Of a quotient, relative.
pub const DIVISION: f64 = 2.5 * ULP;

/// Of a square root, relative: it may be computed as `1 / inverseSqrt(x)`, where `inverseSqrt` is off by 2 units.
pub const SQRT: f64 = INVERSE_SQRT + DIVISION;

/// Of an inverse square root, relative.
pub const INVERSE_SQRT: f64 = 2.0 * ULP;

/// Of a logarithm of a number from 0.5 to 2, absolute.
pub const LOG: f64 = 1.0 / (1 << 21) as f64;

/// Of a logarithm of any number, absolute: 3 units of its result, or [`LOG`].
pub fn log(result: f64) -> f64 {
    LOG + 3.0 * ULP * result.abs()
}

/// Of a standard normal from Box-Muller, absolute: the largest radius, `sqrt(-2 log 2^-24)`, times the error of a sine or
/// cosine, 4 units for its angle and its series, and that of the radius, 7. A wrong word of the generator is off by about 1.
pub const NOISE: f64 = 5.768 * 11.0 * ULP;

/// Of an exponential of `x`, relative: WGSL has `3 + 2 |x|` units, Direct3D 2^-21 of a power of two whose exponent,
/// `x / log(2)`, is rounded twice.
pub fn exp(x: f64) -> f64 {
    (4.0 + 2.0 * x.abs()) * ULP
}

/// Of a sum of `terms` products, in whatever order they are added, where `magnitude` is the sum of their magnitudes:
/// each is rounded when it is made, and at most once for each of the others.
pub fn sum(terms: usize, magnitude: f64) -> f64 {
    (terms + 1) as f64 * ULP * magnitude
}
