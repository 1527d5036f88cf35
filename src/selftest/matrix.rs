//! Matrices of f64, row-major, without padding.

/// A matrix of f64; a vector is a matrix of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// Makes a matrix whose element in row `r` and column `c` is `value(r, c)`.
    pub fn from_fn(rows: usize, columns: usize, mut value: impl FnMut(usize, usize) -> f64) -> Matrix {
        let values = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
        Matrix { columns, values }
    }

    /// Makes a vector.
    pub fn vector(values: Vec<f64>) -> Matrix {
        Matrix { columns: values.len(), values }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All elements, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// One element.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.row(row)[column]
    }

    /// Applies a function to each element.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Matrix {
        Matrix { columns: self.columns, values: self.values.iter().map(|value| function(*value)).collect() }
    }

    /// The transpose.
    pub fn transpose(&self) -> Matrix {
        Matrix::from_fn(self.columns, self.rows(), |r, c| self.at(c, r))
    }

    /// Combines the elements of two matrices of one shape.
    pub fn zip(&self, other: &Matrix, function: impl Fn(f64, f64) -> f64) -> Matrix {
        assert_eq!((self.rows(), self.columns), (other.rows(), other.columns), "matrices of one shape");
        let pairs = self.values.iter().zip(&other.values);
        Matrix { columns: self.columns, values: pairs.map(|(a, b)| function(*a, *b)).collect() }
    }

    /// Sums each row over blocks of columns. The last block may be narrower.
    pub fn block_sums(&self, block: usize) -> Matrix {
        let columns = self.columns.div_ceil(block);
        let sums = self.values.chunks(self.columns).flat_map(|row| row.chunks(block).map(|block| block.iter().sum()));
        Matrix { columns, values: sums.collect() }
    }

    /// The magnitude of each element.
    pub fn abs(&self) -> Matrix {
        self.map(f64::abs)
    }
}
