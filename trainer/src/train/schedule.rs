//! Schedule: the learning rate of every optimizer step.

use crate::config::ScheduleConfig;
use std::f64::consts::PI;

/// How far below the peak the last step's rate lies.
const FINAL_DIV_FACTOR: f64 = 1e4;

/// One cycle: from `peak / div_factor` up to the peak, then down to nearly nothing, both along
/// half a cosine.
///
/// **Source**: Smith and Topin 2018, in the form that OpenPCDet's `OneCycle` gives it. Its
/// momentum cycle is left out: Burn's AdamW takes constant betas.
#[derive(Clone, Copy, Debug)]
pub struct OneCycle {
    peak: f64,
    start: f64,
    n_steps: usize,
    n_rising: usize,
}

impl OneCycle {
    /// The cycle of a run of `n_steps` optimizer steps.
    pub fn new(config: &ScheduleConfig, n_steps: usize) -> Self {
        let n_rising = (config.warm_up * n_steps as f64).round() as usize;
        Self {
            peak: config.learning_rate,
            start: config.learning_rate / config.div_factor,
            n_steps,
            n_rising: n_rising.clamp(1, n_steps.max(1)),
        }
    }

    /// The rate of a step, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.n_rising {
            return between(self.start, self.peak, step as f64 / self.n_rising as f64);
        }
        let n_falling = (self.n_steps - self.n_rising).max(1);
        let share = ((step - self.n_rising) as f64 / n_falling as f64).min(1.0);
        between(self.peak, self.peak / FINAL_DIV_FACTOR, share)
    }
}

fn between(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "exact answers are meant")]

    use super::*;
    use crate::config::TrainPrecision;

    fn cycle() -> OneCycle {
        let config = ScheduleConfig {
            epochs: 1,
            batch_size: 1,
            accumulate: 1,
            learning_rate: 0.003,
            weight_decay: 0.01,
            warm_up: 0.4,
            div_factor: 10.0,
            clip_norm: 10.0,
            precision: TrainPrecision::Fp32,
            max_pillars: None,
            seed: 0,
        };
        OneCycle::new(&config, 1000)
    }

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_nothing() {
        let cycle = cycle();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(cycle.rate(0), 0.0003));
        assert!(near(cycle.rate(200), (0.0003 + 0.003) / 2.0));
        assert!(near(cycle.rate(400), 0.003));
        assert!(near(cycle.rate(700), (0.003 + 0.003e-4) / 2.0));
        assert!(near(cycle.rate(1000), 0.003e-4));
        assert!((0..400).all(|s| cycle.rate(s) < cycle.rate(s + 1)));
        assert!((400..1000).all(|s| cycle.rate(s) > cycle.rate(s + 1)));
    }

    #[test]
    fn steps_past_the_end_keep_the_last_rate() {
        assert_eq!(cycle().rate(5000), cycle().rate(1000));
    }
}
