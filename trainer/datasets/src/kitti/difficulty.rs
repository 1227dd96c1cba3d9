//! KITTI's three levels of difficulty.

use super::LabelLine;

/// A level of KITTI's benchmark; each counts all that an easier one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difficulty {
    /// 40 px and more, fully visible, at most 15 % cut off by the image's edge.
    Easy,
    /// 25 px and more, at most partly occluded, at most 30 % cut off.
    Moderate,
    /// 25 px and more, at most largely occluded, at most 50 % cut off.
    Hard,
}

impl Difficulty {
    /// From the easiest to the hardest.
    pub const ALL: [Self; 3] = [Self::Easy, Self::Moderate, Self::Hard];

    /// Lower case, as in the keys of reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Moderate => "moderate",
            Self::Hard => "hard",
        }
    }

    /// Least height of an image box, in pixels.
    pub fn min_height_px(self) -> f64 {
        match self {
            Self::Easy => 40.0,
            Self::Moderate | Self::Hard => 25.0,
        }
    }

    /// Whether an object is no more occluded and no more cut off than this level takes.
    pub fn is_visible_enough(self, label: &LabelLine) -> bool {
        let (max_occlusion, max_truncation) = match self {
            Self::Easy => (0, 0.15),
            Self::Moderate => (1, 0.3),
            Self::Hard => (2, 0.5),
        };
        label.occlusion <= max_occlusion && label.truncation <= max_truncation
    }

    /// Whether the level counts an object, whatever its class.
    pub fn counts(self, label: &LabelLine) -> bool {
        self.is_visible_enough(label) && label.height_px() >= self.min_height_px()
    }
}
