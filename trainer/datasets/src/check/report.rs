//! Sums over all samples, and the list of what is wrong.

use super::Inspect;
use super::sample::{Looked, LookedObject};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The sample; none where it concerns the dataset as a whole.
    pub sample: Option<String>,
    /// What, with the file.
    pub what: String,
}

/// Values at which a share of all is reached, and the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// The smallest.
    pub min: u32,
    /// A tenth is below.
    pub p10: u32,
    /// Half is below.
    pub median: u32,
    /// A tenth is above.
    pub p90: u32,
    /// The largest.
    pub max: u32,
}

impl Quantiles {
    fn of(mut values: Vec<u32>) -> Option<Self> {
        values.sort_unstable();
        let last = values.len().checked_sub(1)?;
        let at = |share: usize| values.get(last * share / 10).copied().unwrap_or_default();
        Some(Self { min: at(0), p10: at(1), median: at(5), p90: at(9), max: at(10) })
    }
}

/// The objects of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// How many.
    pub n_objects: u64,
    /// How many have no point inside.
    pub n_without_points: u64,
    /// Mean length, width and height, metres.
    pub mean_size_lwh_m: [f64; 3],
    /// The smallest of each.
    pub min_size_lwh_m: [f32; 3],
    /// The largest of each.
    pub max_size_lwh_m: [f32; 3],
    /// Points inside a box, counted here, whatever the labels say.
    pub points_per_box: Quantiles,
    /// Whether the format knows the class.
    pub is_known: bool,
}

/// What a dataset is made of, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The format.
    pub format: String,
    /// Samples, broken ones included.
    pub n_samples: u64,
    /// Samples with at least one fault.
    pub n_broken: u64,
    /// Points in the files.
    pub n_points: u64,
    /// Those of which a value is not finite.
    pub n_points_not_finite: u64,
    /// Samples with such a point.
    pub samples_with_points_not_finite: Vec<String>,
    /// Samples without any point.
    pub samples_without_points: Vec<String>,
    /// Labelled objects, those of broken boxes excepted.
    pub n_objects: u64,
    /// Those without a point inside.
    pub n_objects_without_points: u64,
    /// By class.
    pub classes: BTreeMap<String, ClassReport>,
    /// Labelled objects that the reader leaves out, by what they are called.
    pub left_out: BTreeMap<String, u64>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Report {
    pub(super) fn of(dataset: &dyn Inspect, looked: Vec<Looked>) -> Self {
        let mut report = Self {
            format: dataset.kind().to_string(),
            n_samples: looked.len() as u64,
            n_broken: 0,
            n_points: 0,
            n_points_not_finite: 0,
            samples_with_points_not_finite: Vec::new(),
            samples_without_points: Vec::new(),
            n_objects: 0,
            n_objects_without_points: 0,
            classes: BTreeMap::new(),
            left_out: dataset.left_out(),
            faults: dataset.faults().into_iter().map(|what| Fault { sample: None, what }).collect(),
        };
        let mut objects: BTreeMap<String, Vec<LookedObject>> = BTreeMap::new();
        for sample in looked {
            report.add(&sample);
            for object in sample.objects {
                objects.entry(object.class_name.clone()).or_default().push(object);
            }
        }
        let known = dataset.known_classes();
        report.classes = objects
            .into_iter()
            .filter_map(|(name, objects)| {
                let is_known = known.is_empty() || known.contains(&name.as_str());
                Some((name, ClassReport::of(&objects, is_known)?))
            })
            .collect();
        report
    }

    fn add(&mut self, sample: &Looked) {
        self.n_broken += u64::from(!sample.faults.is_empty());
        self.n_points += sample.n_points;
        self.n_points_not_finite += sample.n_not_finite;
        if sample.n_not_finite > 0 {
            self.samples_with_points_not_finite.push(sample.name.clone());
        }
        if sample.n_points == 0 && sample.faults.is_empty() {
            self.samples_without_points.push(sample.name.clone());
        }
        self.n_objects += sample.objects.len() as u64;
        self.n_objects_without_points += sample.objects.iter().filter(|o| o.n_points == 0).count() as u64;
        let fault = |what: &String| Fault { sample: Some(sample.name.clone()), what: what.clone() };
        self.faults.extend(sample.faults.iter().map(fault));
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl ClassReport {
    fn of(objects: &[LookedObject], is_known: bool) -> Option<Self> {
        let mut sum = [0.0; 3];
        let (mut min, mut max) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for object in objects {
            for (axis, value) in object.size_lwh.into_iter().enumerate() {
                sum[axis] += f64::from(value);
                min[axis] = min[axis].min(value);
                max[axis] = max[axis].max(value);
            }
        }
        let n = objects.len() as f64;
        Some(Self {
            n_objects: objects.len() as u64,
            n_without_points: objects.iter().filter(|o| o.n_points == 0).count() as u64,
            mean_size_lwh_m: sum.map(|v| v / n),
            min_size_lwh_m: min,
            max_size_lwh_m: max,
            points_per_box: Quantiles::of(objects.iter().map(|o| o.n_points).collect())?,
            is_known,
        })
    }
}

/// Lines of a list that are shown; all of them are in the JSON.
const MAX_SHOWN: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} samples, {} points, {} objects",
            self.format, self.n_samples, self.n_points, self.n_objects
        )?;
        if !self.classes.is_empty() {
            writeln!(
                f,
                "{:<24} {:>8} {:>9}  {:>20}  points in a box: min, 10 %, median, 90 %, max",
                "class", "objects", "no point", "mean l x w x h, m"
            )?;
        }
        for (name, class) in &self.classes {
            let [l, w, h] = class.mean_size_lwh_m;
            let q = class.points_per_box;
            writeln!(
                f,
                "{:<24} {:>8} {:>9}  {:>20}  {}, {}, {}, {}, {}{}",
                name,
                class.n_objects,
                class.n_without_points,
                format!("{l:.2} x {w:.2} x {h:.2}"),
                q.min,
                q.p10,
                q.median,
                q.p90,
                q.max,
                if class.is_known { "" } else { "  (a class that the format does not know)" }
            )?;
        }
        if self.n_points_not_finite > 0 {
            let n = self.samples_with_points_not_finite.len();
            let names = shown(&self.samples_with_points_not_finite);
            writeln!(f, "{} points in {n} samples are not finite: {names}", self.n_points_not_finite)?;
        }
        if !self.samples_without_points.is_empty() {
            let n = self.samples_without_points.len();
            writeln!(f, "{n} samples have no point: {}", shown(&self.samples_without_points))?;
        }
        if self.n_objects_without_points > 0 {
            writeln!(f, "{} objects have no point inside", self.n_objects_without_points)?;
        }
        for (name, n) in &self.left_out {
            writeln!(f, "{n} objects `{name}` are left out: no class for them")?;
        }
        for fault in self.faults.iter().take(MAX_SHOWN) {
            writeln!(f, "fault: {}: {}", fault.sample.as_deref().unwrap_or("dataset"), fault.what)?;
        }
        if self.faults.len() > MAX_SHOWN {
            writeln!(f, "and {} more faults", self.faults.len() - MAX_SHOWN)?;
        }
        match self.faults.len() {
            0 => write!(f, "sound"),
            n => write!(f, "{n} faults, {} of {} samples broken", self.n_broken, self.n_samples),
        }
    }
}

/// The first names of a list, and how many more there are.
fn shown(names: &[String]) -> String {
    let mut text = names.iter().take(MAX_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_SHOWN {
        let _ = write!(text, " and {} more", names.len() - MAX_SHOWN);
    }
    text
}
