// The sizes of a convolution from a large grid of positions, which kernels call the input, to a small one, which they call the
// output. A transposed convolution goes the other way, with the same kernels.

#import nn/dense/layer.wgsl

override HEIGHT: u32;           // of the large grid
override WIDTH: u32;
override CHANNELS: u32;
override SMALL_HEIGHT: u32;     // of the small grid
override SMALL_WIDTH: u32;
override KERNEL: u32;           // taps of a window, along each axis
override STRIDE: u32;
override PADDING: u32;          // positions before the first one and after the last one, whose values are zero
override EXAMPLES: u32;         // in a whole batch, with their samples

override SMALL_POSITIONS: u32 = SMALL_HEIGHT * SMALL_WIDTH;
