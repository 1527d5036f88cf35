//! The writer: a thread that writes one epoch's files while the next epoch trains.
//!
//! There is at most one such thread, and so the files are never more than one epoch behind the training.

use std::thread::{Builder, JoinHandle};

use elbo::Error;

/// The thread that is writing, if there is one. Call [`Writer::finish`] before the program ends: the end of the program
/// would stop the thread.
#[derive(Default)]
pub struct Writer {
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Writer {
    /// Waits for the previous write to end, then starts this one.
    ///
    /// # Errors
    ///
    /// The error of the previous `write`; this one is then not started. [`Error::Io`] if the thread cannot be started.
    pub fn start(&mut self, write: impl FnOnce() -> Result<(), Error> + Send + 'static) -> Result<(), Error> {
        self.finish()?;
        let thread = Builder::new().name("writer".to_owned()).spawn(write);
        self.thread = Some(thread.map_err(Error::io("start", "the thread that writes files"))?);
        Ok(())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// The error that `write` returned. Only the first call returns it.
    pub fn finish(&mut self) -> Result<(), Error> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(written)) => written,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_write_waits_for_the_one_before() {
        let (sender, written) = channel();
        let mut writer = Writer::default();
        for epoch in 0..3 {
            let sender = sender.clone();
            let write = move || {
                std::thread::sleep(Duration::from_millis(10));
                sender.send(epoch).unwrap();
                Ok(())
            };
            writer.start(write).unwrap();
            assert!(written.try_iter().all(|other| other < epoch));
        }
        writer.finish().unwrap();
    }

    #[test]
    fn writing_goes_on_beside_the_caller() {
        let (sender, go_on) = channel();
        let mut writer = Writer::default();
        writer.start(move || go_on.recv().map_err(|_| full())).unwrap();
        // If `start` waited for this write, it would wait forever.
        sender.send(()).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn an_error_is_returned_once_and_nothing_is_written_after_it() {
        let mut writer = Writer::default();
        writer.start(|| Err(full())).unwrap();
        let error = writer.start(|| panic!("begun after an error")).unwrap_err();
        assert_eq!(error.to_string(), full().to_string());
        writer.finish().unwrap();
        writer.start(|| Err(full())).unwrap();
        writer.finish().unwrap_err();
    }

    fn full() -> Error {
        Error::io("write", "model.safetensors")(io::ErrorKind::StorageFull.into())
    }
}
