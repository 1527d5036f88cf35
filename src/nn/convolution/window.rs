//! The windows of a convolution: how many values it sums, and where they are.

use std::fmt;

/// A square window that moves over a grid of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Positions along each axis.
    pub kernel: usize,
    /// Positions from one window to the next.
    pub stride: usize,
    /// Zeros before the first position and after the last one.
    pub padding: usize,
}

impl Window {
    /// A window padded so that stride 1 keeps an odd kernel's size, and stride 2 halves it: `(kernel - 1) / 2`, rounded down.
    pub fn padded(kernel: usize, stride: usize) -> Window {
        Window { kernel, stride, padding: kernel.saturating_sub(1) / 2 }
    }

    /// Windows along an axis: `(n + 2 padding - kernel) / stride + 1`, rounded down; none if the kernel is larger than the axis.
    pub fn outputs(self, n: usize) -> usize {
        let Window { kernel, stride, padding } = self;
        (n + 2 * padding).checked_sub(kernel).map_or(0, |rest| rest / stride + 1)
    }

    /// Values of a window of one channel.
    pub fn area(self) -> usize {
        self.kernel * self.kernel
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}s{}p{}", self.kernel, self.stride, self.padding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_other_libraries() {
        // PyTorch's, and those of TensorFlow's VALID and SAME.
        for (kernel, stride, padding, sizes) in [
            (4, 2, None, [(28, 14), (7, 3), (64, 32)]),
            (3, 2, None, [(28, 14), (7, 4), (13, 7)]),
            (3, 1, None, [(28, 28), (7, 7), (1, 1)]),
            (5, 2, None, [(28, 14), (7, 4), (64, 32)]),
            (3, 2, Some(0), [(28, 13), (13, 6), (2, 0)]),
        ] {
            let window = Window::padded(kernel, stride);
            let window = Window { padding: padding.unwrap_or(window.padding), ..window };
            for (n, outputs) in sizes {
                assert_eq!(window.outputs(n), outputs, "{window} of {n}");
            }
        }
    }
}
