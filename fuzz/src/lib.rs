//! What the fuzz targets share: the readers, the folder of their files, and an allocator with a limit.

#[path = "../../tests/fuzz/readers.rs"]
pub mod readers;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::process::abort;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// The folder of this process, in which each input replaces the one before. It is in `TMPDIR`, which is best in memory.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}

/// The most bytes of one allocation: a fuzzer's inputs are short, and what they unpack to is limited.
static MOST_BYTES: AtomicUsize = AtomicUsize::new(64 << 20);

/// Prepares the target of pictures, whose headers may ask for 2 GiB, 16 bytes for each of the 2^27 pixels that a picture may have.
/// Decoders panic on some damaged pictures, and the reader turns that into an error: so a panic must unwind, and not abort.
pub fn decode_pictures() {
    MOST_BYTES.store(1 << 31, Ordering::Relaxed);
    std::panic::set_hook(Box::new(|_| ()));
}

/// The system's allocator, which ends the process when a single allocation is above the limit: libFuzzer's own limit needs a
/// sanitizer.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

impl Limited {
    fn check(bytes: usize) {
        if bytes > MOST_BYTES.load(Ordering::Relaxed) {
            eprintln!("an allocation of {bytes} bytes");
            abort();
        }
    }
}

// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Limited::check(layout.size());
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Limited::check(layout.size());
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Limited::check(size);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}
