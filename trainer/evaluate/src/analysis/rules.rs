//! Which objects and detections count.

use pilotis_spec::{Box3d, Grid};
use serde::{Deserialize, Serialize};
use std::fmt;

/// By which rules frames are analysed. Runs compare only if theirs are equal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Centres must lie here: `[min_x, min_y, max_x, max_y]` in metres, the upper edges excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_m: Option<[f32; 4]>,
    /// Centres must be nearer than this, horizontally from the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_distance_m: Option<f64>,
    /// Objects with fewer points are ignored: to find them is neither right nor wrong.
    pub min_points: u32,
    /// Detections below take no part in recall, precision, errors and confusion. Average precision
    /// takes all of them.
    pub score: f64,
}

impl Default for Rules {
    /// Everything counts, at a score of 0.3.
    fn default() -> Self {
        Self { region_m: None, max_distance_m: None, min_points: 0, score: 0.3 }
    }
}

/// Rules by which nothing, or not what was meant, would be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rules.{key}: {reason}")]
pub struct RulesError {
    /// Which one.
    pub key: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Rules {
    /// What lies on a grid, with at least this many points.
    pub fn on_grid(grid: &Grid, min_points: u32, score: f64) -> Self {
        let ([min_x, min_y, _], [max_x, max_y, _]) = (grid.min(), grid.max());
        let region_m = Some([min_x, min_y, max_x, max_y]);
        Self { region_m, max_distance_m: None, min_points, score }
    }

    /// Whether a box's centre lies where centres count.
    pub fn holds(&self, bbox: &Box3d) -> bool {
        let [x, y, _] = bbox.center;
        let inside = self
            .region_m
            .is_none_or(|[min_x, min_y, max_x, max_y]| x >= min_x && y >= min_y && x < max_x && y < max_y);
        inside && self.max_distance_m.is_none_or(|max| libm::hypot(f64::from(x), f64::from(y)) < max)
    }

    /// **Errors**: numbers that are not finite, a region without an inside, a distance that is not positive.
    pub fn check(&self) -> Result<(), RulesError> {
        let wrong = |key, reason: String| Err(RulesError { key, reason });
        if let Some(region @ [min_x, min_y, max_x, max_y]) = self.region_m
            && !(region.iter().all(|v| v.is_finite()) && min_x < max_x && min_y < max_y)
        {
            return wrong("region_m", format!("{region:?} is no region [min_x, min_y, max_x, max_y]"));
        }
        if let Some(max) = self.max_distance_m
            && !(max.is_finite() && max > 0.0)
        {
            return wrong("max_distance_m", format!("{max} is no positive distance"));
        }
        if !self.score.is_finite() {
            return wrong("score", format!("{} is no number", self.score));
        }
        Ok(())
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "score >= {}, at least {} points", self.score, self.min_points)?;
        if let Some(max) = self.max_distance_m {
            write!(f, ", nearer than {max} m")?;
        }
        if let Some([min_x, min_y, max_x, max_y]) = self.region_m {
            write!(f, ", x {min_x} to {max_x} m, y {min_y} to {max_y} m")?;
        }
        Ok(())
    }
}
