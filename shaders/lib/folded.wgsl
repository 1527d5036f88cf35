// A long row of threads, folded into two axes: a large arena needs more workgroups than one axis of a grid holds.

const FOLDED_SIZE = 64u;    // threads of a workgroup

fn folded_index(id: vec3u, groups: vec3u) -> u32 {
    return id.x + id.y * groups.x * FOLDED_SIZE;
}
