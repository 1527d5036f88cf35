// Rows of means and log variances, (N, 2L): the parameters of a posterior, or the components of a mixture. Also the
// gradients with respect to them. A log variance starts at column L, which need not be the start of a quad.
//
// Log variances may be clamped to a range. Values outside have no gradient.

#import lib/nan.wgsl

override L: u32;
override NORMALS_STRIDE: u32;
override LOGVAR_MIN: f32 = -3.0e38;
override LOGVAR_MAX: f32 = 3.0e38;

@group(0) @binding(15) var<storage, read> normals: array<f32>;          // (N, 2L): mean, then logvar
@group(0) @binding(16) var<storage, read_write> dnormals: array<f32>;   // (N, 2L)

struct Normals {
    mean: vec4f,
    logvar: vec4f,      // clamped
    given: vec4f,       // the log variance before it was clamped
}

// Four latents of a row; zeros past the last latent.
fn load_normals(row: u32, quad: u32) -> Normals {
    let at = row * NORMALS_STRIDE + 4u * quad;
    var mean = vec4f();
    var given = vec4f();
    for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
        mean[i] = normals[at + i];
        given[i] = normals[at + i + L];
    }
    return Normals(mean, clamp_logvar(given), given);
}

// Stores the gradients of four latents of a row, with respect to the mean and to the log variance before it was clamped.
fn store_gradients(row: u32, quad: u32, dmean: vec4f, dgiven: vec4f) {
    let at = row * NORMALS_STRIDE + 4u * quad;
    for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
        dnormals[at + i] = dmean[i];
        dnormals[at + i + L] = dgiven[i];
    }
}

fn clamp_logvar(logvar: vec4f) -> vec4f {
    let raised = select(logvar, vec4f(LOGVAR_MIN), logvar < vec4f(LOGVAR_MIN));
    return or_nan(select(raised, vec4f(LOGVAR_MAX), logvar > vec4f(LOGVAR_MAX)), logvar);
}

// The gradient with respect to a log variance before it was clamped.
fn through_clamp(given: vec4f, gradient: vec4f) -> vec4f {
    let outside = (given < vec4f(LOGVAR_MIN)) | (given > vec4f(LOGVAR_MAX));
    return select(gradient, vec4f(), outside);
}
