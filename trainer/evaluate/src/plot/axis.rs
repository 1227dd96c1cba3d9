//! One axis of a plot.

/// One axis: what stands on it, and from where to where it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    title: String,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Axis {
    /// An axis of equal steps; one without a length gets that of 1.
    pub fn linear(title: &str, from: f64, to: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self { title: title.to_owned(), from, to, logarithmic: false }
    }

    /// `from` is positive; values below are drawn there.
    pub fn logarithmic(title: &str, from: f64, to: f64) -> Self {
        let to = to.max(from * 10.0);
        Self { title: title.to_owned(), from, to, logarithmic: true }
    }

    /// What stands beside it.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The same axis with room beyond its end: a share of its length, or of a decade's multiple.
    #[must_use]
    pub fn with_headroom(mut self, share: f64) -> Self {
        if self.logarithmic {
            self.to *= 1.0 + 10.0 * share;
        } else {
            self.to += share * (self.to - self.from);
        }
        self
    }

    /// Where a value lies: 0 at the beginning of the axis, 1 at its end.
    pub fn place(&self, value: f64) -> f64 {
        let place = if self.logarithmic {
            libm::log10(value.max(self.from) / self.from) / libm::log10(self.to / self.from)
        } else {
            (value - self.from) / (self.to - self.from)
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values to be marked, about `n_wanted` of them on a linear axis, the decades on the other.
    pub fn ticks(&self, n_wanted: usize) -> Vec<f64> {
        if self.logarithmic {
            let mut ticks = vec![self.from];
            while let Some(next) = ticks.last().map(|t| t * 10.0).filter(|t| *t <= self.to) {
                ticks.push(next);
            }
            return ticks;
        }
        let step = round_step((self.to - self.from) / n_wanted.max(1) as f64);
        let first = libm::ceil(self.from / step - 1e-9) as i64;
        let last = libm::floor(self.to / step + 1e-9) as i64;
        (first..=last).map(|k| k as f64 * step).collect()
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below.
fn round_step(wanted: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(wanted)));
    [1.0, 2.0, 5.0].into_iter().map(|k| k * power).find(|step| *step >= wanted).unwrap_or(10.0 * power)
}

/// As few digits as tell ticks apart.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let labels = |axis: &Axis, n| axis.ticks(n).into_iter().map(number).collect::<Vec<_>>();
        assert_eq!(labels(&Axis::linear("", 0.0, 1.0), 5), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&Axis::linear("", -3.0, 17.0), 4), ["0", "5", "10", "15"]);
        assert_eq!(labels(&Axis::logarithmic("", 1.0, 500.0), 9), ["1", "10", "100"]);
        assert_eq!(number(-0.001), "0");
    }

    #[test]
    fn an_axis_without_length_and_values_beyond_it_have_a_place() {
        let axis = Axis::linear("", 2.0, 2.0);
        assert!((axis.place(2.5) - 0.5).abs() < 1e-12 && axis.place(-9.0).abs() < 1e-12);
        let axis = Axis::logarithmic("", 1.0, 100.0);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-12 && axis.place(0.0).abs() < 1e-12);
        assert!((axis.place(1e9) - 1.0).abs() < 1e-12);
        assert!((Axis::linear("", 0.0, 10.0).with_headroom(0.25).place(10.0) - 0.8).abs() < 1e-12);
    }
}
