// Gradients times the factor that clips their norm.

@group(0) @binding(5) var<storage, read> clip: vec4f;      // the norm, the factor, whether the update is left out

fn clipped(gradient: vec4f) -> vec4f {
    return clip.y * gradient;
}

fn is_left_out() -> bool {
    return clip.z > 0.0;
}
