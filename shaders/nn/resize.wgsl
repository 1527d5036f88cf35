// Between a large grid of positions and one whose cells are FACTOR x FACTOR of them.
//
//   gather:  finish(cell, SCALE * the sum of the large grid's values in the cell): mean pooling, and the gradient of enlargement
//   spread:  finish(position, SCALE * the value of its cell): enlargement to the nearest value, and the gradient of pooling
//
// Where the large grid's size is no multiple of FACTOR, the positions that are left over belong to the last cell if TAIL is set, else
// to none. One thread processes a quad of channels: x is the quad, y the row.

#import lib/step.wgsl
#import epilogue

override HEIGHT: u32;           // of the large grid
override WIDTH: u32;
override SMALL_HEIGHT: u32;
override SMALL_WIDTH: u32;
override FACTOR: u32;
override TAIL: bool;
override SCALE: f32;
override VALUES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;      // (B * positions, C)

// The end of a cell along an axis: one past its last position.
fn end_of(cell: u32, cells: u32, positions: u32) -> u32 {
    return select(min((cell + 1u) * FACTOR, positions), positions, TAIL && cell == cells - 1u);
}

@compute @workgroup_size(8, 32)
fn gather(@builtin(global_invocation_id) id: vec3u) {
    let example = id.y / (SMALL_HEIGHT * SMALL_WIDTH);
    let row = id.y / SMALL_WIDTH % SMALL_HEIGHT;
    let column = id.y % SMALL_WIDTH;
    if id.x < VALUES_QUADS && id.y < live_rows() {
        var sum = vec4f();
        for (var y = row * FACTOR; y < end_of(row, SMALL_HEIGHT, HEIGHT); y++) {
            for (var x = column * FACTOR; x < end_of(column, SMALL_WIDTH, WIDTH); x++) {
                sum += values[((example * HEIGHT + y) * WIDTH + x) * VALUES_QUADS + id.x];
            }
        }
        finish(id.y, id.x, SCALE * sum);
    }
}

@compute @workgroup_size(8, 32)
fn spread(@builtin(global_invocation_id) id: vec3u) {
    let example = id.y / (HEIGHT * WIDTH);
    let cell = vec2u(id.y / WIDTH % HEIGHT, id.y % WIDTH) / FACTOR;
    let last = vec2u(SMALL_HEIGHT, SMALL_WIDTH) - 1u;
    if id.x < VALUES_QUADS && id.y < live_rows() {
        let own = min(cell, last);
        let value = values[((example * SMALL_HEIGHT + own.x) * SMALL_WIDTH + own.y) * VALUES_QUADS + id.x];
        finish(id.y, id.x, select(vec4f(), SCALE * value, TAIL || all(cell <= last)));
    }
}
