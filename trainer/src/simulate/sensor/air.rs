//! Air: what rain and fog take from a beam, and what they send back by themselves.

use super::super::draw::Draw;

/// What the air is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::ValueEnum)]
pub enum Weather {
    /// Nothing in the way.
    #[default]
    Clear,
    /// About 10 mm an hour, on wet ground.
    Rain,
    /// A visibility of about 120 m.
    Fog,
}

/// Numbers of a kind of weather.
#[derive(Clone, Copy, Debug)]
pub(super) struct Air {
    /// Light lost a metre, one way.
    pub(super) extinction_per_m: f32,
    /// Chance that a beam is answered by a drop or by fog.
    pub(super) false_share: f32,
    /// Mean range of such answers, metres.
    pub(super) false_range_m: f32,
    /// Share of light that a wet ground mirrors away.
    pub(super) wetness: f32,
}

impl Weather {
    /// **Source**: extinction of 10 mm/h of rain about 0.002 a metre, of fog of visibility V about 3.9 / V (Koschmieder); the
    /// rates of false returns are estimates.
    pub(super) fn air(self) -> Air {
        match self {
            Self::Clear => Air { extinction_per_m: 0.0, false_share: 0.0, false_range_m: 1.0, wetness: 0.0 },
            Self::Rain => {
                Air { extinction_per_m: 0.002, false_share: 0.004, false_range_m: 5.0, wetness: 0.45 }
            }
            Self::Fog => Air { extinction_per_m: 0.033, false_share: 0.05, false_range_m: 7.0, wetness: 0.1 },
        }
    }

    /// What the weather is called.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Rain => "rain",
            Self::Fog => "fog",
        }
    }
}

impl Air {
    /// Share of light that comes back over a range.
    pub(super) fn kept(&self, range_m: f32) -> f32 {
        if self.extinction_per_m <= 0.0 { 1.0 } else { libm::expf(-2.0 * self.extinction_per_m * range_m) }
    }

    /// The range at which the air itself answers, where it does.
    pub(super) fn false_return(&self, min_range_m: f32, draw: &mut Draw) -> Option<f32> {
        (self.false_share > 0.0 && draw.chance(self.false_share))
            .then(|| min_range_m + draw.exponential(self.false_range_m))
    }
}
