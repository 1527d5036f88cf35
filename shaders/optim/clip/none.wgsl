// Gradients as they are.

fn clipped(gradient: vec4f) -> vec4f {
    return gradient;
}

fn is_left_out() -> bool {
    return false;
}
