// What the density of each of a mixture's components takes that does not depend on z, once for all rows.
//
//   means[c, l] = m[c, l],  precisions[c, l] = exp(-v[c, l]),  log_scales[c] = -1/2 sum_l (log(2 pi) + v[c, l])
//
// Unlike the components, means and precisions have rows of whole quads each. One thread takes one component.

#import lib/logvar.wgsl
#import lib/matrix.wgsl
#import lib/normal.wgsl

override L: u32;
override COMPONENTS: u32;
override QUADS: u32 = (L + 3u) / 4u;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(0) var<storage, read> components: array<f32>;            // (M, 2L): mean, then logvar
@group(0) @binding(1) var<storage, read_write> means: array<vec4f>;         // (M, L)
@group(0) @binding(2) var<storage, read_write> precisions: array<vec4f>;    // (M, L)
@group(0) @binding(3) var<storage, read_write> log_scales: array<f32>;      // (M)

@compute @workgroup_size(64)
fn prepare(@builtin(global_invocation_id) id: vec3u) {
    let c = id.x;
    if c < COMPONENTS {
        var sum = vec4f();
        for (var quad = 0u; quad < QUADS; quad++) {
            let at = c * STRIDE + 4u * quad;
            var mean = vec4f();
            var logvar = vec4f();
            for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
                mean[i] = components[at + i];
                logvar[i] = components[at + i + L];
            }
            logvar = hold_logvar(logvar);
            means[c * QUADS + quad] = mean;
            precisions[c * QUADS + quad] = keep(exp(-logvar), 4u * quad, L);
            sum += keep(LOG_TWO_PI + logvar, 4u * quad, L);
        }
        log_scales[c] = -0.5 * dot(sum, vec4f(1.0));
    }
}
