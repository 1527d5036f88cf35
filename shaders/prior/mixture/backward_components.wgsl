// The gradient of the KL divergence's term in the loss by a mixture's components, of which -log p(z) alone depends on them.
//
//   dm[c, l] = -sum_row s (z - m[c, l]) exp(-v[c, l]),  dv[c, l] = -1/2 sum_row s ((z - m[c, l])^2 exp(-v[c, l]) - 1)
//
// with s = w[row] responsibilities[row, c], and w the row's KL weight: that of its first latent, since log p(z) is no sum over
// latents and an objective must weigh them alike. One thread takes four latents of four components: x is the quad of latents,
// y the four components. Sums are in the order of the rows.

#import lib/logvar.wgsl
#import lib/step.wgsl
#import objective

override L: u32;
override COMPONENTS: u32;
override QUADS: u32 = (L + 3u) / 4u;
override COMPONENT_QUADS: u32 = (COMPONENTS + 3u) / 4u;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;                   // (B * SAMPLES, L)
@group(0) @binding(2) var<storage, read> components: array<f32>;            // (M, 2L): mean, then logvar
@group(0) @binding(3) var<storage, read> responsibilities: array<vec4f>;    // (B * SAMPLES, M)
@group(0) @binding(4) var<storage, read_write> dcomponents: array<f32>;     // (M, 2L)

// Four latents from `quad` on of component `c`'s means, or of its log variances with `offset` L; zeros where there are none.
fn load(c: u32, quad: u32, offset: u32) -> vec4f {
    var values = vec4f();
    if c < COMPONENTS {
        for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
            values[i] = components[c * STRIDE + 4u * quad + i + offset];
        }
    }
    return values;
}

fn store(c: u32, quad: u32, pull: vec4f, square: vec4f, mass: f32) {
    if c < COMPONENTS {
        let given = load(c, quad, L);
        let inverse_variance = exp(-hold_logvar(given));
        let dmean = -pull * inverse_variance;
        let dlogvar = through_hold(given, -0.5 * (square * inverse_variance - mass));
        for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
            let at = c * STRIDE + 4u * quad + i;
            dcomponents[at] = dmean[i];
            dcomponents[at + L] = dlogvar[i];
        }
    }
}

@compute @workgroup_size(8, 8)
fn backward_components(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let c = id.y;
    if quad < QUADS && c < COMPONENT_QUADS {
        let mean0 = load(4u * c, quad, 0u);
        let mean1 = load(4u * c + 1u, quad, 0u);
        let mean2 = load(4u * c + 2u, quad, 0u);
        let mean3 = load(4u * c + 3u, quad, 0u);
        var pulls = mat4x4f();
        var squares = mat4x4f();
        var mass = vec4f();
        for (var row = 0u; row < step.rows * SAMPLES; row++) {
            let draw = z[row * QUADS + quad];
            let shares = kl_weight(row, 0u).x * responsibilities[row * COMPONENT_QUADS + c];
            let pull = mat4x4f(
                shares.x * (draw - mean0), shares.y * (draw - mean1),
                shares.z * (draw - mean2), shares.w * (draw - mean3));
            pulls += pull;
            squares += mat4x4f(
                pull[0] * (draw - mean0), pull[1] * (draw - mean1),
                pull[2] * (draw - mean2), pull[3] * (draw - mean3));
            mass += shares;
        }
        store(4u * c, quad, pulls[0], squares[0], mass.x);
        store(4u * c + 1u, quad, pulls[1], squares[1], mass.y);
        store(4u * c + 2u, quad, pulls[2], squares[2], mass.z);
        store(4u * c + 3u, quad, pulls[3], squares[3], mass.w);
    }
}
