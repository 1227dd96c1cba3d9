//! Choice: what runs the stages, as asked for and as found.

use super::cuda::{Device, Driver};
use crate::error::BuildError;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What is asked to run the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The processor.
    Cpu,
    /// A CUDA device; without one there is no engine.
    Cuda,
    /// A CUDA device where one can be used, else the processor.
    #[default]
    Auto,
}

/// What runs the stages.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// The processor, and why no CUDA device does; `None` where none was asked for.
    Cpu {
        /// One line for people.
        why_not_cuda: Option<String>,
    },
    /// A device that can be used.
    Cuda(Arc<Device>),
}

impl DeviceChoice {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::Auto];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Auto => "auto",
        }
    }

    /// Looks at the machine.
    ///
    /// **Errors**: those of [`Device::open_first`] where CUDA is asked for. An emulator that is
    /// named but cannot be used is an error of [`DeviceChoice::Auto`] as well.
    pub fn resolve(self) -> Result<Resolved, BuildError> {
        match self {
            Self::Cpu => Ok(Resolved::Cpu { why_not_cuda: None }),
            Self::Cuda => Device::open_first().map(Resolved::Cuda),
            Self::Auto => match Device::open_first() {
                Ok(device) => Ok(Resolved::Cuda(device)),
                Err(e) if Driver::is_emulator_asked_for() => Err(e),
                Err(e) => Ok(Resolved::Cpu { why_not_cuda: Some(e.to_string()) }),
            },
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|choice| choice.name() == text);
        found.ok_or_else(|| format!("`{text}` is no device: cpu, cuda or auto"))
    }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { .. } => f.write_str("cpu"),
            Self::Cuda(device) => write!(f, "cuda: {}", device.info().name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        for bad in ["", "CPU", "gpu", "cuda:0"] {
            assert!(bad.parse::<DeviceChoice>().unwrap_err().contains("cuda"), "{bad}");
        }
        assert_eq!(format!("{:>5}", DeviceChoice::Cpu), "  cpu");
    }

    #[test]
    fn the_processor_is_always_there() {
        let resolved = DeviceChoice::Cpu.resolve().unwrap();
        assert!(matches!(resolved, Resolved::Cpu { why_not_cuda: None }));
        assert_eq!(resolved.to_string(), "cpu");
    }
}
