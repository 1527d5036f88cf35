//! Which data a likelihood can describe.

use super::{Likelihood, LikelihoodConfig};
use crate::Error;
use crate::data::{Binarize, Images};

/// How far a float may be from the level that it stands for.
const LEVEL_TOLERANCE: f32 = 1e-6;

/// The values that pixels may have.
#[derive(Clone, Copy, PartialEq)]
enum Support {
    /// All finite ones.
    Line,
    /// From 0 to 1.
    Interval,
    /// So many levels from 0 to 1, evenly spaced.
    Levels(usize),
}

impl Support {
    fn holds(self, x: f32) -> bool {
        match self {
            Support::Line => true,
            Support::Interval => (0.0..=1.0).contains(&x),
            Support::Levels(levels) => {
                let above_zero = (levels - 1) as f32;
                let level = (x * above_zero).round();
                (0.0..=above_zero).contains(&level) && (x - level / above_zero).abs() <= LEVEL_TOLERANCE
            }
        }
    }

    /// Whether each grey level of a byte is among them.
    fn holds_bytes(self) -> bool {
        !matches!(self, Support::Levels(levels) if levels != 256)
    }
}

impl Likelihood {
    /// Whether it has probabilities, not densities: its ELBO is then below 0, and is bits that a code needs.
    pub fn is_discrete(self) -> bool {
        match self {
            Likelihood::Bernoulli
            | Likelihood::DiscretisedLogistic
            | Likelihood::BetaBinomial
            | Likelihood::Categorical => true,
            Likelihood::Gaussian
            | Likelihood::GaussianFixed
            | Likelihood::GaussianPerDimension
            | Likelihood::GaussianPredicted => false,
        }
    }

    /// Whether what it says of these images, as the model sees them, is a log likelihood: grey pixels have none with
    /// [`Likelihood::Bernoulli`].
    pub fn is_log_likelihood_of(self, images: &Images, binarize: Binarize) -> bool {
        self != Likelihood::Bernoulli || binarize != Binarize::None || images.pixels().all(|x| x == 0.0 || x == 1.0)
    }
}

impl LikelihoodConfig {
    /// Checks that it can describe images, as the model sees them; `part` says which they are, as in `training`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the first pixel which it cannot, and what would help.
    pub fn check(&self, images: &Images, binarize: Binarize, part: &str) -> Result<(), Error> {
        let (option, support, expected) = match binarize {
            // Whatever the data are, the model sees 0 and 1.
            Binarize::Threshold => return Ok(()),
            Binarize::Static | Binarize::Dynamic => (
                "--binarize",
                Support::Interval,
                "pixels from 0 to 1 to draw black and white from (or --binarize threshold)".to_owned(),
            ),
            Binarize::None => (
                "--likelihood",
                match self.likelihood {
                    Likelihood::Bernoulli => Support::Interval,
                    Likelihood::DiscretisedLogistic | Likelihood::BetaBinomial => Support::Levels(256),
                    Likelihood::Categorical => Support::Levels(self.categories),
                    _ => Support::Line,
                },
                self.expected(),
            ),
        };
        if images.bytes().is_some() && support.holds_bytes() {
            return Ok(());
        }
        let Some((at, x)) = images.pixels().enumerate().find(|(_, x)| !support.holds(*x)) else {
            return Ok(());
        };
        let (image, pixel) = (at / images.dimensions(), at % images.dimensions());
        let found = format!("{x} in pixel {pixel} of image {image} of the {part} images");
        Err(Error::Config { option, expected, found })
    }

    /// What pixels it describes, and what helps where they are others.
    fn expected(&self) -> String {
        let LikelihoodConfig { likelihood, categories, .. } = *self;
        match likelihood {
            Likelihood::Bernoulli => {
                "pixels from 0 to 1 for bernoulli (or --binarize threshold, or one of the gaussian likelihoods)"
                    .to_owned()
            }
            Likelihood::Categorical if categories < 256 => format!(
                "levels k/{} for categorical with --categories {categories} (grey bytes take --categories 256, or \
                 --binarize threshold)",
                categories - 1
            ),
            _ => "levels k/255, the bytes of grey images (or --binarize threshold, or one of the gaussian likelihoods)"
                .to_owned(),
        }
    }
}
