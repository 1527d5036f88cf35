//! The self-test of `shaders/nn/embedding.wgsl` and of the files below it.

use crate::Error;
use crate::gpu::Tensor;
use crate::nn::{self, Embedding};
use crate::selftest::bench::{Bench, Output, SAMPLES, UNTOUCHED, poisoned};
use crate::selftest::{Checks, Matrix, tolerance};

pub(super) const CHECKS: Checks = &[
    ("nn/embedding.wgsl", check_look_up),
    ("nn/embedding/occurrences.wgsl", check_occurrences),
    ("nn/embedding/backward.wgsl", check_backward),
    ("nn/embedding/backward.wgsl:sum_positions", check_latents),
];

/// Rows of the table: some tokens are frequent, and some do not occur.
const TOKENS: usize = 71;
/// Values of a vector.
const WIDTH: usize = 12;
/// Positions of the sentences of a batch, and those that its tensors have room for.
const POSITIONS: [usize; 2] = [5, 7];

/// Where there is no token.
const NOTHING: u32 = u32::MAX;

/// Tokens of every place, some of them missing. Those past the batch's are of no table.
fn tokens(bench: &mut Bench<'_>) -> Result<(Tensor, Vec<u32>), Error> {
    let [length, most] = POSITIONS;
    let count = length * bench.sizes.rows;
    let mut tokens: Vec<u32> = (0..count)
        .map(|place| match place % 7 {
            6 => NOTHING,
            _ => (bench.draw().abs().powi(3) * (TOKENS - 8) as f32) as u32,
        })
        .collect();
    tokens.resize(most * bench.sizes.batch, 3);
    let tensor = Tensor::from_values(bench.gpu, 1, tokens.len(), &tokens)?;
    tokens.truncate(count);
    Ok((tensor, tokens))
}

fn check_look_up(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (tokens, numbers) = tokens(bench)?;
    bench.samples = SAMPLES;
    let latents = bench.input(bench.sizes.columns, |draw, _| draw)?;
    bench.over_positions(POSITIONS)?;
    let embedding = Embedding::new("table", TOKENS, WIDTH);
    let parameters = nn::arena(bench.gpu, &[embedding.parameter()])?;
    let table = Matrix::from_fn(TOKENS, WIDTH, |_, _| f64::from(bench.draw()));
    let values: Vec<f32> = table.values().iter().map(|value| *value as f32).collect();
    parameters.get("table.weight").write(bench.gpu, &values)?;
    for with_latents in [false, true] {
        let columns = if with_latents { bench.sizes.columns } else { 0 };
        let result = bench.output(WIDTH + columns)?;
        let given = with_latents.then_some(&latents.tensor);
        let dispatch = embedding.look_up(bench.at(), &parameters, &tokens, given, &result)?;
        let rows = numbers.len() * SAMPLES;
        let wanted = Matrix::from_fn(rows, WIDTH + columns, |r, c| match numbers[r / SAMPLES] {
            _ if c >= WIDTH => latents.values.at(r % (bench.sizes.rows * SAMPLES), c - WIDTH),
            NOTHING => 0.0,
            token => table.at(token as usize, c),
        });
        bench.check(dispatch, [Output::matrix("result", &result, &wanted, &wanted.map(|_| 0.0))])?;
    }
    Ok(())
}

/// `first[token]` is its first place, `next[place]` the one after it
fn check_occurrences(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (tokens, numbers) = tokens(bench)?;
    bench.over_positions(POSITIONS)?;
    let dresult = bench.input(WIDTH, |draw, _| draw)?;
    let embedding = Embedding::new("table", TOKENS, WIDTH);
    let gradients = nn::arena(bench.gpu, &[embedding.parameter()])?;
    let places = embedding.places(bench.gpu, &tokens)?;
    for tensor in [&places.first, &places.next] {
        poisoned(bench.gpu, tensor.clone())?;
    }
    let mut dispatches = embedding.backward(bench.at(), &gradients, (&tokens, &places), &dresult.tensor, false)?;
    dispatches.truncate(1);
    let after = |place: usize, token: u32| {
        let found = numbers.iter().skip(place).position(|other| *other == token);
        found.map_or(NOTHING, |offset| (place + offset) as u32)
    };
    let padded = |mut words: Vec<u32>, tensor: &Tensor| {
        words.resize(tensor.padded_len(), UNTOUCHED.to_bits());
        words
    };
    let first = padded((0..TOKENS as u32).map(|token| after(0, token)).collect(), &places.first);
    let next = numbers.iter().enumerate().map(|(place, token)| match *token {
        NOTHING => UNTOUCHED.to_bits(),
        token => after(place + 1, token),
    });
    let next = padded(next.collect(), &places.next);
    let outputs = [Output::words("first", &places.first, &first), Output::words("next", &places.next, &next)];
    bench.check(dispatches, outputs)
}

/// `dtable[token, e] = sum of dresult[row, e]` over the rows of the token
fn check_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (tokens, numbers) = tokens(bench)?;
    bench.samples = SAMPLES;
    bench.over_positions(POSITIONS)?;
    let dresult = bench.input(WIDTH + 5, |draw, _| draw)?;
    let embedding = Embedding::new("table", TOKENS, WIDTH);
    for accumulate in [false, true] {
        let gradients = nn::arena(bench.gpu, &[embedding.parameter()])?;
        let dtable = poisoned(bench.gpu, gradients.get("table.weight"))?;
        let stored = if accumulate { 0.5 } else { 0.0 };
        if accumulate {
            dtable.write(bench.gpu, &[stored as f32; TOKENS * WIDTH])?;
        }
        let places = embedding.places(bench.gpu, &tokens)?;
        let given = (&tokens, &places);
        let dispatches = embedding.backward(bench.at(), &gradients, given, &dresult.tensor, accumulate)?;
        let sum = |token: usize, c: usize, of: fn(f64) -> f64| -> f64 {
            let rows = (0..numbers.len() * SAMPLES).filter(|row| numbers[row / SAMPLES] as usize == token);
            rows.map(|row| of(dresult.values.at(row, c))).sum::<f64>()
        };
        let wanted = Matrix::from_fn(TOKENS, WIDTH, |token, c| stored + sum(token, c, |value| value));
        let errors = Matrix::from_fn(TOKENS, WIDTH, |token, c| {
            tolerance::sum(numbers.len() * SAMPLES, stored + sum(token, c, f64::abs))
        });
        bench.check(dispatches, [Output::matrix("dtable", &dtable, &wanted, &errors)])?;
    }
    Ok(())
}

/// `dz[draw, l] = sum_p dresult[(p, draw), E + l]`
fn check_latents(bench: &mut Bench<'_>) -> Result<(), Error> {
    let columns = bench.sizes.columns;
    bench.samples = SAMPLES;
    let stored = bench.in_place(columns, |draw, _| draw)?;
    let fresh = bench.output(columns)?;
    bench.over_positions(POSITIONS)?;
    let dresult = bench.input(WIDTH + columns, |draw, _| draw)?;
    let embedding = Embedding::new("table", TOKENS, WIDTH);
    let draws = stored.values.rows();
    let all = |draw: usize, c: usize| (0..POSITIONS[0]).map(move |p| [p * draws + draw, WIDTH + c]);
    let sum = |draw: usize, c: usize, of: fn(f64) -> f64| -> f64 {
        all(draw, c).map(|[row, c]| of(dresult.values.at(row, c))).sum()
    };
    for (accumulate, dz) in [(false, &fresh), (true, &stored.tensor)] {
        let before = |draw, c| if accumulate { stored.values.at(draw, c) } else { 0.0 };
        let dispatch = embedding.backward_latents(bench.at(), &dresult.tensor, dz, accumulate)?;
        let wanted = Matrix::from_fn(draws, columns, |draw, c| before(draw, c) + sum(draw, c, |value| value));
        let size = |draw, c| f64::abs(before(draw, c)) + sum(draw, c, f64::abs);
        let errors = Matrix::from_fn(draws, columns, |draw, c| tolerance::sum(POSITIONS[0] + 1, size(draw, c)));
        bench.check_variant(
            &format!("accumulate {accumulate}"),
            dispatch,
            [Output::matrix("dz", dz, &wanted, &errors)],
        )?;
    }
    Ok(())
}
