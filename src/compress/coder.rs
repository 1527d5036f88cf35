//! Distributions as whole numbers, for the ANS coder of `constriction`.

use std::borrow::Borrow;
use std::num::NonZeroU32;

use constriction::stream::Decode;
use constriction::stream::Encode;
use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::stack::DefaultAnsCoder;

use crate::Error;

/// Bits of a probability in the coder: with a state of 64 bits, a symbol costs less than 2^-30 of its length more.
pub const PRECISION: u32 = 24;
const BITS: usize = PRECISION as usize;

/// All parts that the symbols of a distribution share.
pub const WHOLE: u32 = 1 << PRECISION;

/// A distribution over `count` symbols: `start` of a symbol is the parts of all symbols before it, and rises with each. `start(0)` is 0,
/// `start(count)` is [`WHOLE`].
pub struct Cells<F> {
    pub count: usize,
    pub start: F,
}

impl<F: Fn(usize) -> u32> Cells<F> {
    fn cell(&self, symbol: usize) -> Option<(u32, NonZeroU32)> {
        let start = (self.start)(symbol);
        Some((start, NonZeroU32::new((self.start)(symbol + 1).checked_sub(start)?)?))
    }
}

impl<F: Fn(usize) -> u32> EntropyModel<BITS> for Cells<F> {
    type Symbol = usize;
    type Probability = u32;
}

impl<F: Fn(usize) -> u32> EncoderModel<BITS> for Cells<F> {
    fn left_cumulative_and_probability(&self, symbol: impl Borrow<usize>) -> Option<(u32, NonZeroU32)> {
        if *symbol.borrow() < self.count { self.cell(*symbol.borrow()) } else { None }
    }
}

impl<F: Fn(usize) -> u32> DecoderModel<BITS> for Cells<F> {
    fn quantile_function(&self, quantile: u32) -> (usize, u32, NonZeroU32) {
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if (self.start)(middle) <= quantile { low = middle } else { high = middle }
        }
        // A symbol without parts is never found: its start is that of the next one.
        let (start, parts) = self.cell(low).unwrap_or((0, NonZeroU32::MIN));
        (low, start, parts)
    }
}

/// Symbols of the same probability.
pub fn uniform(count: usize) -> Cells<impl Fn(usize) -> u32> {
    Cells { count, start: move |symbol| ((symbol as u64 * u64::from(WHOLE)) / count as u64) as u32 }
}

/// The starts of symbols from their probabilities, in units of `2^-precision`: each symbol has at least one unit.
pub fn quantise(probabilities: &[f64], precision: u32, starts: &mut Vec<u32>) {
    let shared = f64::from((1u32 << precision) - probabilities.len() as u32);
    let shift = PRECISION - precision;
    starts.clear();
    let mut sum = 0.0;
    for (symbol, p) in probabilities.iter().enumerate() {
        starts.push((((sum * shared) as u32) + symbol as u32) << shift);
        sum = (sum + p).min(1.0);
    }
    starts.push(WHOLE);
}

/// The stack, and what can go wrong with it.
#[derive(Debug)]
pub struct Coder(DefaultAnsCoder);

impl Coder {
    /// A stack that holds whole words, the last one on top.
    pub fn new(words: Vec<u32>) -> Coder {
        Coder(DefaultAnsCoder::from_binary(words).unwrap_or_default())
    }

    /// A stack that [`Coder::finish`] gave.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it gave no such words.
    pub fn resume(words: Vec<u32>) -> Result<Coder, Error> {
        DefaultAnsCoder::from_compressed(words).map(Coder).map_err(|_| fault("words of a stack", "others"))
    }

    /// Puts a symbol onto the stack.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it has no probability.
    pub fn push<F: Fn(usize) -> u32>(&mut self, symbol: usize, cells: &Cells<F>) -> Result<(), Error> {
        self.0.encode_symbol(symbol, cells).map_err(|_| fault("a symbol with a probability", &symbol.to_string()))
    }

    /// Takes a symbol from the stack. A stack that is empty gives the same symbols each time, which can be put back.
    pub fn pop<F: Fn(usize) -> u32>(&mut self, cells: &Cells<F>) -> usize {
        let Ok(symbol) = self.0.decode_symbol(cells);
        symbol
    }

    /// The words of the stack.
    pub fn finish(self) -> Vec<u32> {
        let Ok(words) = self.0.into_compressed();
        words
    }

    /// The whole words that [`Coder::new`] was given, if all that was put onto them was taken again.
    pub fn into_words(self) -> Option<Vec<u32>> {
        self.0.into_binary().ok()
    }
}

fn fault(expected: &str, found: &str) -> Error {
    Error::Argument { operation: "coding", expected: expected.to_owned(), found: found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_can_be_put_back() {
        let words: Vec<u32> = (1..40u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
        let mut starts = Vec::new();
        quantise(&[0.7, 0.0, 0.2, 0.1], 12, &mut starts);
        let skewed = Cells { count: 4, start: |symbol: usize| starts[symbol] };
        let even = uniform(1000);
        let mut coder = Coder::new(words.clone());
        // More than the stack holds: the last ones come from an empty stack.
        let taken: Vec<[usize; 2]> = (0..300).map(|_| [coder.pop(&skewed), coder.pop(&even)]).collect();
        assert!(taken.iter().any(|pair| pair[0] == 2) && taken.iter().all(|pair| pair[1] < 1000));
        for [first, second] in taken.iter().rev() {
            coder.push(*second, &even).unwrap();
            coder.push(*first, &skewed).unwrap();
        }
        let finished = Coder::resume(coder.finish()).unwrap();
        assert_eq!(finished.into_words(), Some(words));
    }

    #[test]
    fn every_symbol_has_a_part() {
        let mut starts = Vec::new();
        for (probabilities, precision) in [(&[1.0, 0.0][..], 3), (&[0.0, 0.0, 1.0], 4), (&[0.5, 0.5000001, 1e-9], 24)] {
            quantise(probabilities, precision, &mut starts);
            assert!(starts.windows(2).all(|pair| pair[1] > pair[0]), "{starts:?}");
            assert_eq!((starts[0], starts[probabilities.len()]), (0, WHOLE));
        }
    }
}
