// The gradient of the KL divergence's term in the loss with respect to a mixture's components. Only -log p(z) depends on
// them.
//
//   dm[c, l] = -sum_row s (z - m[c, l]) exp(-v[c, l]),  dv[c, l] = -1/2 sum_row s ((z - m[c, l])^2 exp(-v[c, l]) - 1)
//
// with s = w[row] responsibilities[row, c], and w the row's KL weight: that of its first latent, since log p(z) is not a
// sum over latents, and an objective must weight them equally. One thread processes four latents of four components: x is
// the quad of latents, y the four components. Sums are in the order of the rows.

#import lib/step.wgsl
#import posterior/normal/parameters.wgsl
#import objective

override COMPONENTS: u32;
override Z_QUADS: u32;
override RESPONSIBILITIES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;                   // (B * SAMPLES, L)
@group(0) @binding(2) var<storage, read> responsibilities: array<vec4f>;    // (B * SAMPLES, M)

// The mean of component `c`; zeros past the last component.
fn mean_of(c: u32, quad: u32) -> vec4f {
    if c < COMPONENTS {
        return load_normals(c, quad).mean;
    }
    return vec4f();
}

fn store(c: u32, quad: u32, pull: vec4f, square: vec4f, mass: f32) {
    if c < COMPONENTS {
        let component = load_normals(c, quad);
        let inverse_variance = exp(-component.logvar);
        let dlogvar = -0.5 * (square * inverse_variance - mass);
        store_gradients(c, quad, -pull * inverse_variance, through_clamp(component.given, dlogvar));
    }
}

@compute @workgroup_size(8, 8)
fn backward_components(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let c = id.y;
    if quad < Z_QUADS && c < RESPONSIBILITIES_QUADS {
        let mean0 = mean_of(4u * c, quad);
        let mean1 = mean_of(4u * c + 1u, quad);
        let mean2 = mean_of(4u * c + 2u, quad);
        let mean3 = mean_of(4u * c + 3u, quad);
        var pulls = mat4x4f();
        var squares = mat4x4f();
        var mass = vec4f();
        for (var row = 0u; row < live_rows(); row++) {
            let draw = z[row * Z_QUADS + quad];
            let shares = kl_weight(row, 0u).x * responsibilities[row * RESPONSIBILITIES_QUADS + c];
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
