//! Compares the output of a kernel with the expected values.

/// The expected value of one word, and its tolerance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    value: f64,
    tolerance: f64,
}

impl Want {
    /// A word that must have exactly this value.
    pub fn exactly(value: f64) -> Want {
        Want { value, tolerance: 0.0 }
    }

    /// A result with the first-order bound of its error.
    ///
    /// One percent more is for the products of two errors. A driver may replace the smallest numbers by zero in any
    /// operation: 1e-30 is that error, 2^-126, times the largest factor that follows.
    pub fn near(value: f64, error: f64) -> Want {
        Want { value, tolerance: 1.01 * error + 1e-30 }
    }
}

/// The element with the largest error relative to its tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// `|found - expected|`; NaN if a NaN was found.
    pub error: f64,
    /// The largest error that is still right.
    pub tolerance: f64,
    /// Row and column. Columns past the last are padding; rows past the last belong to no example.
    pub index: [usize; 2],
    /// What the adapter computed.
    pub found: f64,
    /// The reference.
    pub expected: f64,
}

impl Worst {
    /// Whether even the worst element is right.
    pub fn passed(&self) -> bool {
        // False for a NaN.
        self.error <= self.tolerance
    }

    /// The error over its tolerance: above 1 the element is wrong. It is infinite for a NaN.
    pub fn share(&self) -> f64 {
        if self.error == 0.0 {
            0.0
        } else if self.error.is_nan() {
            f64::INFINITY
        } else {
            self.error / self.tolerance
        }
    }
}

/// The word with the largest error relative to its tolerance; rows are `stride` words apart.
pub(super) fn worst(wants: &[Want], found: &[f64], stride: usize) -> Worst {
    assert_eq!(wants.len(), found.len(), "a want for each word");
    let error = |found: f64, want: f64| match (found.is_nan(), want.is_nan()) {
        (true, true) => 0.0,
        (false, true) => f64::INFINITY,
        // Two infinities have no difference.
        _ if found == want => 0.0,
        _ => (found - want).abs(),
    };
    let compared = wants.iter().zip(found).enumerate().map(|(i, (want, found))| Worst {
        error: error(*found, want.value),
        tolerance: want.tolerance,
        index: [i / stride, i % stride],
        found: *found,
        expected: want.value,
    });
    // The first of equal ones: `max_by` would give the last.
    compared.reduce(|worst, next| if next.share() > worst.share() { next } else { worst }).expect("at least one word")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants() -> Vec<Want> {
        vec![Want::near(1.0, 0.1), Want::near(-2.0, 0.1), Want::near(1e-3, 1e-5), Want::exactly(0.0)]
    }

    #[test]
    fn the_worst_is_the_one_that_takes_most_of_its_tolerance() {
        let worst = worst(&wants(), &[1.05, -2.0, 1.009e-3, 0.0], 2);
        assert_eq!((worst.index, worst.found, worst.expected), ([1, 0], 1.009e-3, 1e-3));
        assert!(worst.passed() && worst.share() > 0.8 && worst.share() < 1.0);
    }

    #[test]
    fn a_nan_that_is_wanted_is_right_and_a_number_in_its_place_is_wrong() {
        let wants = [Want::exactly(1.0), Want::exactly(f64::NAN)];
        assert!(worst(&wants, &[1.0, f64::NAN], 2).passed());
        for wrong in [0.0, 1.5e38, f64::INFINITY] {
            let worst = worst(&wants, &[1.0, wrong], 2);
            assert!(!worst.passed() && worst.index == [0, 1], "{worst:?}");
        }
    }

    #[test]
    fn every_wrong_word_is_found() {
        let right = [1.0, -2.0, 1e-3, 0.0];
        assert_eq!(worst(&wants(), &right, 2).share(), 0.0);
        for index in 0..right.len() {
            for wrong in [right[index] + 0.2, -right[index] - 0.2, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let mut found = right;
                found[index] = wrong;
                let worst = worst(&wants(), &found, 2);
                assert!(!worst.passed(), "{wrong} at {index}");
                assert_eq!(worst.index, [index / 2, index % 2]);
            }
        }
    }
}
