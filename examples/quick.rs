use elbo::{config::Config, data::Dataset, gpu::{AdapterRequest, Gpu}, train::Trainer};
use std::ops::ControlFlow;
fn main() -> Result<(), elbo::Error> {
    let t=std::time::Instant::now();
    let gpu = Gpu::open(&AdapterRequest::default())?;
    println!("{} {:?}", gpu.adapter(), t.elapsed());
    let data = Dataset::load("mnist")?;
    println!("data {:?}", t.elapsed());
    let mut config = Config::default();
    config.training.epochs = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    config.training.seed = std::env::args().nth(2).and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut trainer = Trainer::new(&gpu, &data, &config)?;
    println!("recorded {:?} {} dispatches", t.elapsed(), trainer.dispatches_per_step());
    trainer.run(|e, _| { println!("{e:?}"); Ok(ControlFlow::Continue(())) })
}
