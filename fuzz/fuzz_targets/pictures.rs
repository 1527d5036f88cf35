#![no_main]

use elbo_fuzz::{decode_pictures, folder, readers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: decode_pictures(),
    |bytes: &[u8]| {
        let _ = readers::pictures(folder(), bytes);
    }
);
