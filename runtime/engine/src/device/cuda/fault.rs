//! Faults: what the driver answers where it does not answer with success.

use crate::error::{BuildError, BuildErrorKind};
use cudarc::driver::result::DriverError;
use pilotis_spec::{FrameError, FrameErrorCode, Stage};
use std::fmt;

/// An error number of the CUDA driver.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceFault {
    /// The driver's number, as in `cuda.h`.
    pub code: u32,
}

/// A number of `cuda.h`, its name, and whether the device is lost to this process with it.
type Known = (u32, &'static str, bool);

/// Sticky are those of which the driver's manual says that they leave the process in an
/// inconsistent state, and those after which there is no context or no driver any more.
const KNOWN: &[Known] = &[
    (1, "invalid value", false),
    (2, "out of memory", false),
    (3, "not initialized", false),
    (4, "the driver is shutting down", true),
    (34, "the driver library is a stub", false),
    (36, "the call requires a newer driver", false),
    (46, "the device is unavailable", false),
    (100, "no device", false),
    (101, "invalid device", false),
    (102, "the device is not licensed", false),
    (200, "invalid kernel image", false),
    (201, "invalid context", false),
    (209, "no kernel image for this device", false),
    (214, "uncorrectable memory error", true),
    (216, "the context is in use", false),
    (218, "invalid PTX", false),
    (219, "invalid graphics context", false),
    (220, "uncorrectable NVLink error", true),
    (221, "the driver's PTX compiler was not found", false),
    (222, "unsupported PTX version", false),
    (223, "compilation of PTX is disabled", false),
    (226, "contained memory error", true),
    (304, "the operating system refused", false),
    (400, "invalid handle", false),
    (401, "illegal state", false),
    (500, "symbol not found", false),
    (600, "not ready", false),
    (700, "illegal address", true),
    (701, "launch out of resources", false),
    (702, "launch timed out", true),
    (708, "the primary context is active", false),
    (709, "the context is destroyed", true),
    (710, "assertion failed on the device", true),
    (714, "stack error on the device", true),
    (715, "illegal instruction", true),
    (716, "misaligned address", true),
    (717, "invalid address space", true),
    (718, "invalid program counter", true),
    (719, "launch failed", true),
    (720, "cooperative launch too large", false),
    (721, "tensor memory leak", true),
    (800, "not permitted", false),
    (801, "not supported", false),
    (802, "the system is not ready", false),
    (803, "driver library and kernel module do not match", false),
    (804, "the driver does not support this device in compatibility mode", false),
    (810, "the MPS server ended this client", true),
    (900, "not permitted while a graph is captured", false),
    (901, "the capture of the graph was invalidated", false),
    (911, "error outside of the device", true),
    (999, "unknown error", true),
    (100_001, "the network was not enqueued; the log says why", false),
];

impl DeviceFault {
    /// An argument that does not fit: a range past its end, a slot of another arena.
    pub const INVALID_VALUE: Self = Self { code: 1 };
    /// A thing of another device or stream.
    pub const INVALID_HANDLE: Self = Self { code: 400 };
    /// The device still works on it.
    pub const NOT_READY: Self = Self { code: 600 };
    /// A library enqueued nothing and gave no reason. No number of the driver's.
    pub const NETWORK: Self = Self { code: 100_001 };
    /// What the device or its driver cannot do.
    pub const NOT_SUPPORTED: Self = Self { code: 801 };
    /// What cannot stand in a graph.
    pub const CAPTURE_UNSUPPORTED: Self = Self { code: 900 };

    /// What the number means, as a static text.
    pub fn name(self) -> &'static str {
        self.known().map_or("an error of a number that this version does not know", |k| k.1)
    }

    /// Whether the device is lost to this process: every later call would fail as well. A number
    /// that this version does not know counts as such, since nobody can tell what is left.
    pub fn is_sticky(self) -> bool {
        self.known().is_none_or(|k| k.2)
    }

    /// The fault as the error of a frame.
    pub fn at(self, stage: Stage) -> FrameError {
        FrameError { stage, code: FrameErrorCode::DeviceFault, got: u64::from(self.code), limit: 0 }
    }

    /// The fault as an error of building, with what was being done and what to do.
    pub(crate) fn while_building(self, doing: impl fmt::Display) -> BuildError {
        BuildError::new(BuildErrorKind::Device, format!("CUDA cannot {doing}: {self}")).caused_by(self)
    }

    fn known(self) -> Option<&'static Known> {
        KNOWN.iter().find(|k| k.0 == self.code)
    }
}

impl From<DriverError> for DeviceFault {
    fn from(error: DriverError) -> Self {
        Self { code: error.0 as u32 }
    }
}

impl fmt::Debug for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceFault({}: {})", self.code, self.name())
    }
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (CUDA error {})", self.name(), self.code)
    }
}

impl std::error::Error for DeviceFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_destroy_the_context_are_sticky_and_others_are_not() {
        for code in [4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911, 999] {
            assert!(DeviceFault { code }.is_sticky(), "{code}");
        }
        for code in [1, 2, 3, 100, 101, 201, 209, 218, 222, 400, 500, 600, 701, 720, 801, 900, 901] {
            assert!(!DeviceFault { code }.is_sticky(), "{code}");
        }
    }

    #[test]
    fn a_number_that_nobody_knows_is_sticky_and_has_a_text() {
        let fault = DeviceFault { code: 54_321 };
        assert!(fault.is_sticky());
        assert!(fault.to_string().contains("54321"), "{fault}");
    }

    #[test]
    fn numbers_stand_once_and_in_order() {
        assert!(KNOWN.is_sorted_by(|a, b| a.0 < b.0));
        assert!(KNOWN.iter().all(|k| k.0 != 0), "0 is success");
    }

    #[test]
    fn a_frame_error_carries_the_drivers_number() {
        let error = DeviceFault { code: 700 }.at(Stage::Pillars);
        assert_eq!((error.stage, error.code), (Stage::Pillars, FrameErrorCode::DeviceFault));
        assert_eq!((error.got, error.limit), (700, 0));
        assert!(error.to_string().contains("700"), "{error}");
    }
}
