//! Data that a likelihood cannot describe are refused: in one line that says where they are and what helps.

use std::ops::ControlFlow;

use elbo::data::{Binarize, Dataset, ImageShape, Images};
use elbo::eval::{self, ReportRequest};
use elbo::likelihood::Likelihood;
use elbo::train::Plan;

use super::{all, trainable, with_categories};
use crate::support::gpu;
use crate::support::synthetic::{dataset, images, trainer};

fn floats(pixels: &[f32]) -> Images {
    Images::from_floats(pixels.to_vec(), 2, ImageShape::grey(1, pixels.len() / 2)).unwrap()
}

#[track_caller]
fn refused(result: Result<(), elbo::Error>, words: &[&str]) {
    let message = result.expect_err("such data are refused").to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is missing: {message}");
    }
}

#[test]
fn data_that_a_likelihood_cannot_describe_are_refused() {
    let none = Binarize::None;
    let bytes = images(4, 1);
    let (levels, grey) = (floats(&[0.0, 1.0, 51.0 / 255.0, 1.0]), floats(&[0.0, 1.0, 0.3001, 1.0]));
    let (outside, halves) = (floats(&[0.0, 1.0, 0.5, 1.25]), floats(&[0.5, 1.0, 0.0, 1.0]));
    let place = "pixel 0 of image 1 of the test images";
    with_categories(Likelihood::Bernoulli, 2).check(&grey, none, "test").unwrap();
    let words =
        ["--likelihood: ", "0 to 1", "1.25", "pixel 1 of image 1 of the training images", "gaussian", "--scale"];
    refused(with_categories(Likelihood::Bernoulli, 2).check(&outside, none, "training"), &words);
    for likelihood in [Likelihood::DiscretisedLogistic, Likelihood::BetaBinomial] {
        for fine in [&bytes, &levels] {
            with_categories(likelihood, 2).check(fine, none, "test").unwrap();
        }
        refused(
            with_categories(likelihood, 2).check(&grey, none, "test"),
            &["k/255", "0.3001", place, "--binarize threshold"],
        );
    }
    let categorical = Likelihood::Categorical;
    with_categories(categorical, 3).check(&halves, none, "test").unwrap();
    for fine in [&bytes, &levels] {
        with_categories(categorical, 256).check(fine, none, "test").unwrap();
        refused(
            with_categories(categorical, 2).check(fine, none, "test"),
            &["k/1", "--categories 256", "--binarize threshold"],
        );
    }
    refused(with_categories(categorical, 2).check(&grey, none, "test"), &["0.3001", place]);
    for gaussian in all().filter(|likelihood| !with_categories(*likelihood, 2).is_discrete()) {
        with_categories(gaussian, 2).check(&outside, none, "test").unwrap();
    }
    for likelihood in all() {
        with_categories(likelihood, 2).check(&outside, Binarize::Threshold, "test").unwrap();
        for binarize in [Binarize::Static, Binarize::Dynamic] {
            with_categories(likelihood, 2).check(&grey, binarize, "test").unwrap();
            refused(
                with_categories(likelihood, 2).check(&outside, binarize, "test"),
                &["--binarize: ", "0 to 1", "1.25"],
            );
        }
    }
    let [bernoulli, gaussian] =
        [Likelihood::Bernoulli, Likelihood::Gaussian].map(|likelihood| with_categories(likelihood, 2));
    assert!(!bernoulli.is_log_likelihood_of(&grey, none));
    assert!(bernoulli.is_log_likelihood_of(&grey, Binarize::Static));
    assert!(bernoulli.is_log_likelihood_of(&floats(&[0.0, 1.0]), none));
    assert!(gaussian.is_log_likelihood_of(&grey, none));
}

#[test]
fn training_and_evaluation_refuse_such_data_and_name_the_part() {
    let fine = dataset(70, 8);
    let config = trainable(Likelihood::BetaBinomial, 2);
    let spoiled = |images: &Images| {
        let mut pixels: Vec<f32> = images.pixels().collect();
        pixels[45] = 0.0012;
        Images::from_floats(pixels, images.count(), images.shape()).unwrap()
    };
    let message = |data: &Dataset| {
        let error = Plan::new(&config, data).expect_err("such data are refused").to_string();
        assert!(error.contains("0.0012") && error.contains("pixel 3 of image 1 of the "), "{error}");
        error
    };
    let (mut train, mut test) = (fine.clone(), fine.clone());
    train.train.images = spoiled(&fine.train.images);
    test.test.images = spoiled(&fine.test.images);
    assert!(message(&train).contains("of the training images"));
    assert!(message(&test).contains("of the test images"));
    let mut validation = fine.clone().with_validation(6, None).unwrap();
    let part = validation.validation.as_mut().unwrap();
    part.images = spoiled(&part.images);
    assert!(message(&validation).contains("of the validation images"));
    let trainer = trainer(gpu(), &fine, &config);
    // An evaluation takes described images alone.
    let described = trainer.vae().model().describe("evaluating a model", &test.test.images, "given");
    refused(described.map(|_| ()), &["--likelihood: ", "of the given images"]);
    let request = ReportRequest { batch_size: 8, importance_samples: None, seed: 0 };
    let report = eval::report(trainer.vae(), &test.test.images, request, |_| ControlFlow::Continue(()));
    refused(report.map(|_| ()), &["--likelihood: ", "of the given images"]);
}

#[test]
fn sizes_and_variances_that_cannot_work_are_named() {
    let mut config = trainable(Likelihood::GaussianPredicted, 2);
    config.model.likelihood.variance = 1e-4;
    refused(config.validate(), &["--variance", "0.0001", "gaussian-predicted"]);
    config.model.likelihood.kind = Likelihood::Gaussian;
    config.validate().unwrap();
}
