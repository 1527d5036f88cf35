// The diagonal normal posterior q(z|x), and the reparameterisation that makes a draw from it differentiable.
//
//   reparameterise:           z[b, l] = mean[b, l] + exp(logvar[b, l] / 2) * noise[b, l]
//   reparameterise_backward:  dmean = dz,  dlogvar = dz * noise * exp(logvar / 2) / 2
//
// One thread makes four latents, those of one draw of noise: x is the quad of latents, y the row b.

#import lib/rng.wgsl
#import lib/step.wgsl

override L: u32;
override QUADS: u32 = (L + 3u) / 4u;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;         // (B, 2L): mean, then logvar
@group(0) @binding(2) var<storage, read_write> z: array<vec4f>;         // (B, L)
@group(0) @binding(3) var<storage, read> dz: array<vec4f>;              // (B, L)
@group(0) @binding(4) var<storage, read_write> dposterior: array<f32>;  // (B, 2L)

@compute @workgroup_size(8, 8)
fn reparameterise(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let noise = normal_noise(step.key, quad, step.first + b, step.t);
        var draw = vec4f();
        for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
            let at = b * STRIDE + 4u * quad + i;
            draw[i] = posterior[at] + exp(0.5 * posterior[at + L]) * noise[i];
        }
        z[b * QUADS + quad] = draw;
    }
}

@compute @workgroup_size(8, 8)
fn reparameterise_backward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let noise = normal_noise(step.key, quad, step.first + b, step.t);
        let gradient = dz[b * QUADS + quad];
        for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
            let at = b * STRIDE + 4u * quad + i;
            dposterior[at] = gradient[i];
            dposterior[at + L] = gradient[i] * noise[i] * 0.5 * exp(0.5 * posterior[at + L]);
        }
    }
}
