// Chains the occurrences of each token in a batch, in their order: first[token] is its first place among the tokens, next[place] the
// place after it. NOTHING ends a chain. So the gradient of a token's vector is a sum in the order of its places, without atomics.
//
// One thread finds one token's chain. It is the only one that writes to the places of that token.

#import lib/step.wgsl

override TOKENS: u32;           // rows of the table

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> tokens: array<vec4u>;              // (T * B)
@group(0) @binding(2) var<storage, read_write> first: array<u32>;           // (TOKENS)
@group(0) @binding(3) var<storage, read_write> next: array<u32>;            // (T * B)

const NOTHING = 0xFFFFFFFFu;

@compute @workgroup_size(64)
fn chain(@builtin(global_invocation_id) id: vec3u) {
    let token = id.x;
    if token < TOKENS {
        let places = step.examples * step.length;
        var begin = NOTHING;
        var last = NOTHING;
        for (var quad = 0u; 4u * quad < places; quad++) {
            let found = tokens[quad] == vec4u(token);
            if any(found) {
                for (var i = 0u; i < min(4u, places - 4u * quad); i++) {
                    if found[i] {
                        let place = 4u * quad + i;
                        if last == NOTHING {
                            begin = place;
                        } else {
                            next[last] = place;
                        }
                        last = place;
                    }
                }
            }
        }
        if last != NOTHING {
            next[last] = NOTHING;
        }
        first[token] = begin;
    }
}
