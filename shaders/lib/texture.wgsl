// Textures that mirror buffers: quads in the buffer's order, in rows of a fixed width.

override TEXTURE_WIDTH: u32;    // texels in a row of every texture

fn texel(index: u32) -> vec2u {
    return vec2u(index % TEXTURE_WIDTH, index / TEXTURE_WIDTH);
}
