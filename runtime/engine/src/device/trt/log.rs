//! Log: what TensorRT says, into `tracing`; its last errors are kept for the error that they explain.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

/// Errors that are kept; the first ones of a failure say why, so later ones are let go.
const MAX_KEPT: usize = 8;

/// The words of one library.
#[derive(Debug, Default)]
pub(super) struct Log {
    errors: Mutex<VecDeque<String>>,
}

impl Log {
    /// What it said of errors since it was asked last, one a line.
    pub(super) fn take_errors(&self) -> String {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.drain(..).collect::<Vec<_>>().join("\n")
    }

    fn push(&self, severity: i32, text: &str) {
        match severity {
            0 | 1 => {
                tracing::error!(target: "tensorrt", "{text}");
                let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
                if errors.len() < MAX_KEPT {
                    errors.push_back(text.trim().to_owned());
                }
            }
            2 => tracing::warn!(target: "tensorrt", "{text}"),
            3 => tracing::debug!(target: "tensorrt", "{text}"),
            _ => tracing::trace!(target: "tensorrt", "{text}"),
        }
    }
}

/// What the C++ side calls with each message, from any thread.
///
/// # Safety
/// `user` is a [`Log`] that is never freed, and `text` a C string.
pub(super) unsafe extern "C" fn receive(user: *mut c_void, severity: i32, text: *const c_char) {
    // SAFETY: the caller's promise; both were checked by the C++ side not to be null
    // -> trt: a_refused_network_is_explained.
    let (log, text) = unsafe { (&*user.cast::<Log>(), CStr::from_ptr(text)) };
    log.push(severity, &text.to_string_lossy());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_errors_are_kept_until_they_are_asked_for() {
        let log = Log::default();
        for i in 0..20 {
            log.push(1, &format!("error {i}\n"));
            log.push(2, "a warning");
        }
        let errors = log.take_errors();
        assert_eq!(errors.lines().count(), MAX_KEPT);
        assert!(errors.starts_with("error 0\nerror 1\n"), "{errors}");
        assert_eq!(log.take_errors(), "");
    }
}
