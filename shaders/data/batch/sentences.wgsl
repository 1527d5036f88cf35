// Gathers a batch of sentences by index, position by position:
//
//   targets[p, b] = the token that the decoder describes at position p: a word, the end, or NOTHING after it
//   inputs[p, b]  = the token before it, which the decoder sees; at first, the beginning
//   reversed[p, b] = the targets from the end to the first word
//   lengths[b]    = positions of the sentence, with that of the end
//
// In training, a word that the decoder sees is replaced by the unknown word with the probability WORD_DROPOUT. One thread makes one
// position: x is the example b, y the position p.

#import lib/rng.wgsl
#import lib/step.wgsl

override WORD_DROPOUT: f32;
override BEGINNING: u32;        // the token before the first word
override STREAM: u32;           // of the draws

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;                // the words of all sentences, one after the other
@group(0) @binding(2) var<storage, read> starts: array<u32>;                // (N + 1), the first word of each
@group(0) @binding(3) var<storage, read> order: array<u32>;                 // (N)
@group(0) @binding(4) var<storage, read_write> targets: array<u32>;         // (T * B)
@group(0) @binding(5) var<storage, read_write> inputs: array<u32>;          // (T * B)
@group(0) @binding(6) var<storage, read_write> reversed: array<u32>;        // (T * B)
@group(0) @binding(7) var<storage, read_write> lengths: array<u32>;         // (B)

const END = 0u;
const UNKNOWN = 1u;
const NOTHING = 0xFFFFFFFFu;

fn is_dropped(p: u32, position: u32) -> bool {
    let words = threefry(vec4u(step.key.xy, STREAM, 0u), vec4u(p, position, step.t, 0u));
    return unit(words.x) < WORD_DROPOUT;
}

@compute @workgroup_size(64)
fn gather(@builtin(global_invocation_id) id: vec3u) {
    let b = id.x;
    let p = id.y;
    if b < step.examples && p < step.length {
        let sentence = order[step.first + b];
        let first = starts[sentence];
        let words = starts[sentence + 1u] - first;
        var target_token = NOTHING;
        if p < words {
            target_token = tokens[first + p];
        } else if p == words {
            target_token = END;
        }
        var reversed_token = NOTHING;
        if p == 0u {
            reversed_token = END;
        } else if p <= words {
            reversed_token = tokens[first + words - p];
        }
        var input_token = NOTHING;
        if p == 0u {
            input_token = BEGINNING;
        } else if p <= words {
            input_token = tokens[first + p - 1u];
            if is_dropped(p, step.first + b) {
                input_token = UNKNOWN;
            }
        }
        targets[p * step.examples + b] = target_token;
        inputs[p * step.examples + b] = input_token;
        reversed[p * step.examples + b] = reversed_token;
        if p == 0u {
            lengths[b] = words + 1u;
        }
    }
}
