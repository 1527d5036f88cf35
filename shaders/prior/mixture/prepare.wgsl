// The parts of the density of a mixture's components that do not depend on z, computed once for all rows.
//
//   means[c, l] = m[c, l],  precisions[c, l] = exp(-v[c, l]),  log_scales[c] = -1/2 sum_l (log(2 pi) + v[c, l])
//
// Unlike the components, means and precisions have rows of whole quads. One thread processes one component.

#import lib/matrix.wgsl
#import lib/normal.wgsl
#import posterior/normal/parameters.wgsl

override COMPONENTS: u32;
override MEANS_QUADS: u32;

@group(0) @binding(0) var<storage, read_write> means: array<vec4f>;         // (M, L)
@group(0) @binding(1) var<storage, read_write> precisions: array<vec4f>;    // (M, L)
@group(0) @binding(2) var<storage, read_write> log_scales: array<f32>;      // (M)

@compute @workgroup_size(64)
fn prepare(@builtin(global_invocation_id) id: vec3u) {
    let c = id.x;
    if c < COMPONENTS {
        var sum = vec4f();
        for (var quad = 0u; quad < MEANS_QUADS; quad++) {
            let component = load_normals(c, quad);
            means[c * MEANS_QUADS + quad] = component.mean;
            precisions[c * MEANS_QUADS + quad] = keep(exp(-component.logvar), 4u * quad, L);
            sum += keep(LOG_TWO_PI + component.logvar, 4u * quad, L);
        }
        log_scales[c] = -0.5 * dot(sum, vec4f(1.0));
    }
}
