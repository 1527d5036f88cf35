//! Adapters whose bindings are smaller than the data and the parameters.

use elbo::data::{Images, Split};
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::{Dataset, Error, Vae};

use super::{parameter_bits, relu, train, values};
use crate::support::synthetic::{HIDDEN, dataset};

/// A device whose bindings have at most this number of bytes. Both kinds of device use the same kernels, whatever else their bindings
/// have room for.
fn gpu_with(most_binding_bytes: Option<u64>) -> Gpu {
    let kernels = KernelRequest::Only("tiles");
    Gpu::open(&AdapterRequest { most_binding_bytes, kernels, ..AdapterRequest::default() }).unwrap()
}

/// The same images with a float for each pixel.
fn as_floats(data: &Dataset) -> Dataset {
    let floats = |split: &Split| {
        let images = &split.images;
        let images = Images::from_floats(images.pixels().collect(), images.count(), images.shape()).unwrap();
        Split { images, labels: None }
    };
    Dataset { name: data.name.clone(), train: floats(&data.train), validation: None, test: floats(&data.test) }
}

#[test]
fn data_and_parameters_in_several_bindings_give_the_same_bits() {
    // A binding holds 93 images of bytes, 23 of floats, and half of the parameters.
    let (small, gpu) = (gpu_with(Some(4096)), gpu_with(None));
    let mut config = relu();
    config.training.batch_size = 16;
    let bytes = dataset(200, 100);
    for (data, shards) in [(as_floats(&bytes), 9), (bytes, 3)] {
        for micro_batch_size in [None, Some(8)] {
            config.training.micro_batch_size = micro_batch_size;
            let (curve, trainer) = train(&small, &data, &config);
            let (wanted_curve, wanted) = train(&gpu, &data, &config);
            assert_eq!(values(&curve), values(&wanted_curve));
            assert_eq!(parameter_bits(trainer.vae()), parameter_bits(wanted.vae()));
            let encoded = trainer.vae().encode(&data.train.images, 0).unwrap();
            assert_eq!(encoded, wanted.vae().encode(&data.train.images, 0).unwrap());
            // A dispatch for each shard, and two for each update and each sum of gradients.
            let more = shards - 1 + 1 + usize::from(micro_batch_size.is_some());
            assert_eq!(trainer.dispatches_per_step(), wanted.dispatches_per_step() + more);
        }
    }
}

#[test]
fn a_parameter_that_no_binding_holds_is_named_with_what_to_do() {
    let small = gpu_with(Some(1024));
    let data = dataset(64, 10);
    let model = super::trainer(crate::support::gpu(), &data, &relu()).vae().model().clone();
    let message = Vae::new(&small, model, 0).map_err(|error: Error| error.to_string()).unwrap_err();
    let wanted = format!(
        "the parameter encoder.0.weight of {HIDDEN} x 42 needs 1760 bytes in one binding, but this adapter allows 1024: "
    );
    assert!(message.starts_with(&wanted) && message.contains("--hidden"), "{message}");
}
