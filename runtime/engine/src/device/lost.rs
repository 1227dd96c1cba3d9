//! Lost: what an engine does when its card fails for good.

use std::fmt;
use std::str::FromStr;

/// What an engine on a card does once the card is lost to the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnDeviceLost {
    /// Every frame fails with [`pilotis_spec::FrameErrorCode::DeviceFault`].
    #[default]
    Fail,
    /// The frame that meets the fault, and every one after it, runs on the CPU, with
    /// [`pilotis_spec::FrameFlags::DEVICE_LOST`].
    UseCpu,
}

impl OnDeviceLost {
    /// All policies.
    pub const ALL: [Self; 2] = [Self::Fail, Self::UseCpu];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::UseCpu => "cpu",
        }
    }
}

impl fmt::Display for OnDeviceLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OnDeviceLost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| format!("`{text}` is nothing that can be done: fail or cpu"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for policy in OnDeviceLost::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for bad in ["", "CPU", "cuda"] {
            assert!(bad.parse::<OnDeviceLost>().unwrap_err().contains("fail or cpu"), "{bad}");
        }
    }
}
