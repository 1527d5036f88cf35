#![no_main]

use elbo_fuzz::{folder, readers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = readers::text(folder(), bytes);
});
