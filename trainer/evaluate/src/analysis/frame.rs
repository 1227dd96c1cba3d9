//! Frames as the analysis takes them, whatever dataset and model they come from.

use crate::center_distance::is_sound;
use pilotis_datasets::{Sample, points_in_box};
use pilotis_spec::{Box3d, Detection, Point, StageTimes};
use sha2::{Digest, Sha256};
use std::cmp::Ordering;
use std::fmt::Write as _;

/// The most classes that a set of frames may have.
pub const MAX_CLASSES: usize = 256;

/// What is labelled in a frame, and what a model says is in it.
///
/// **Units and frame**: metres, radians and m/s in a frame whose origin is the sensor or the own car;
/// distances are taken from there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Name of the frame, unique in its dataset.
    pub name: String,
    /// The drive or scene that it belongs to. Frames of one drive resemble each other, so a comparison
    /// draws whole drives. All frames of a set have one, or none has.
    pub group: Option<String>,
    /// Labelled objects of the classes looked at.
    pub objects: Vec<Object>,
    /// The model's boxes.
    pub detections: Vec<Found>,
    /// How long the frame took.
    pub times: Option<StageTimes>,
}

/// A labelled object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Object {
    /// Index of its class.
    pub class_idx: u32,
    /// Where it is.
    pub bbox: Box3d,
    /// Velocity along x and y, where the dataset knows it.
    pub velocity: Option<[f32; 2]>,
    /// Points in its box.
    pub n_points: u32,
    /// The dataset's degree of occlusion, where it has one.
    pub occlusion: Option<u8>,
    /// Not to be counted, whether found or not.
    pub ignored: bool,
}

/// A box that a model found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// Index of its class.
    pub class_idx: u32,
    /// Where it is.
    pub bbox: Box3d,
    /// How sure the model is; higher is surer.
    pub score: f32,
    /// Velocity along x and y, of models that tell it.
    pub velocity: Option<[f32; 2]>,
    /// Points in its box, where somebody counted them.
    pub n_points: Option<u32>,
}

/// Who knows velocities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TellsVelocity {
    /// The labels do.
    pub dataset: bool,
    /// The model does.
    pub model: bool,
}

impl Found {
    /// A detection of the runtime. `has_velocity` says whether its model tells velocities.
    pub fn new(detection: &Detection, has_velocity: bool) -> Self {
        Self {
            class_idx: detection.class_idx,
            bbox: detection.bbox,
            score: detection.score,
            velocity: has_velocity.then_some(detection.velocity),
            n_points: None,
        }
    }
}

impl Frame {
    /// A labelled sample and what a model says of it.
    ///
    /// Objects of classes that are not in `classes` are left out. A velocity that nobody tells is unknown,
    /// not zero. KITTI's occlusion `unknown` (3) stays a degree of its own.
    pub fn from_sample(
        sample: &Sample,
        detections: &[Detection],
        classes: &[String],
        tells: TellsVelocity,
    ) -> Self {
        let objects = sample.objects.iter().filter_map(|o| {
            let class_idx = classes.iter().position(|c| *c == o.class_name)?;
            Some(Object {
                class_idx: class_idx as u32,
                bbox: o.bbox,
                velocity: tells.dataset.then_some(o.velocity),
                n_points: o.n_points,
                occlusion: Some(o.occlusion),
                ignored: false,
            })
        });
        Self {
            name: sample.name.clone(),
            group: None,
            objects: objects.collect(),
            detections: detections.iter().map(|d| Found::new(d, tells.model)).collect(),
            times: None,
        }
    }

    /// The same frame with the drive or scene that it belongs to.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The same frame with the points in each detected box counted in its cloud.
    #[must_use]
    pub fn with_points_counted(mut self, points: &[Point]) -> Self {
        for detection in &mut self.detections {
            detection.n_points = Some(points_in_box(points, &detection.bbox));
        }
        self
    }

    /// The same frame with how long it took.
    #[must_use]
    pub fn timed(mut self, times: StageTimes) -> Self {
        self.times = Some(times);
        self
    }
}

/// Frames that cannot be analysed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is no frame, so there is nothing to say.
    #[error("there are no frames to analyse")]
    NoFrames,
    /// There are no classes, or too many, or one without a name.
    #[error("{n_classes} classes, one of them perhaps without a name: 1 to {MAX_CLASSES} names are needed")]
    Classes {
        /// Classes given.
        n_classes: usize,
    },
    /// Two classes have one name.
    #[error("class `{name}` is named twice")]
    TwiceNamed {
        /// The name.
        name: String,
    },
    /// A frame has no name.
    #[error("a frame has no name")]
    Nameless,
    /// Two frames have one name: a frame that counts twice would weigh double.
    #[error("frame `{frame}` is there twice")]
    TwiceThere {
        /// The name.
        frame: String,
    },
    /// Some frames belong to a drive and some to none.
    #[error("frame `{frame}` names no drive while others do: give one to every frame or to none")]
    MixedGroups {
        /// A frame without a drive.
        frame: String,
    },
    /// A box, a score or a velocity is not finite, or a size is not positive.
    #[error("frame `{frame}`: {kind} {idx} is not a box of finite numbers and positive size")]
    Unsound {
        /// The frame.
        frame: String,
        /// `detection` or `object`.
        kind: &'static str,
        /// Which one, counted from 0 in the order given.
        idx: usize,
    },
    /// A class index is past the class names.
    #[error("frame `{frame}`: {kind} {idx} has class {class_idx}, there are {n_classes}")]
    UnknownClass {
        /// The frame.
        frame: String,
        /// `detection` or `object`.
        kind: &'static str,
        /// Which one, counted from 0 in the order given.
        idx: usize,
        /// Its class.
        class_idx: u32,
        /// Classes that there are.
        n_classes: usize,
    },
}

/// Frames that were checked, in one order.
///
/// **Determinism**: frames stand by name, objects and detections by their contents, so nothing that
/// is made of a set depends on the order in which its parts were given.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameSet {
    classes: Vec<String>,
    frames: Vec<Frame>,
    dataset_sha256: String,
}

impl FrameSet {
    /// Checks frames and brings them into order.
    ///
    /// **Errors**: no frames, frames of one name, numbers that are not finite, classes that are not there.
    pub fn new(classes: Vec<String>, mut frames: Vec<Frame>) -> Result<Self, FrameError> {
        check_classes(&classes)?;
        if frames.is_empty() {
            return Err(FrameError::NoFrames);
        }
        frames.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = frames.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(FrameError::TwiceThere { frame: pair[0].name.clone() });
        }
        if frames.iter().any(|f| f.group.is_some())
            && let Some(frame) = frames.iter().find(|f| f.group.as_ref().is_none_or(String::is_empty))
        {
            return Err(FrameError::MixedGroups { frame: frame.name.clone() });
        }
        for frame in &mut frames {
            check_frame(frame, classes.len())?;
            frame.objects.sort_by(object_order);
            frame.detections.sort_by(found_order);
        }
        let dataset_sha256 = label_digest(&classes, &frames);
        Ok(Self { classes, frames, dataset_sha256 })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The frames, by name.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// SHA-256 of what is labelled: class names, names of the frames, and every object.
    ///
    /// Two runs have the same one if and only if they were measured against the same truth.
    pub fn dataset_sha256(&self) -> &str {
        &self.dataset_sha256
    }

    /// Drives or scenes; `None` where frames name none.
    pub fn n_groups(&self) -> Option<usize> {
        let mut groups: Vec<&str> = self.frames.iter().filter_map(|f| f.group.as_deref()).collect();
        groups.sort_unstable();
        groups.dedup();
        (!groups.is_empty()).then_some(groups.len())
    }
}

fn check_classes(classes: &[String]) -> Result<(), FrameError> {
    if classes.is_empty() || classes.len() > MAX_CLASSES || classes.iter().any(String::is_empty) {
        return Err(FrameError::Classes { n_classes: classes.len() });
    }
    let mut names: Vec<&String> = classes.iter().collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(FrameError::TwiceNamed { name: pair[0].clone() }),
        None => Ok(()),
    }
}

fn check_frame(frame: &Frame, n_classes: usize) -> Result<(), FrameError> {
    if frame.name.is_empty() {
        return Err(FrameError::Nameless);
    }
    let one = |kind, idx, class_idx: u32, bbox: &Box3d, score: f32, velocity: Option<[f32; 2]>| {
        let frame = || frame.name.clone();
        if !is_sound(bbox, score) || velocity.is_some_and(|v| !v.iter().all(|c| c.is_finite())) {
            return Err(FrameError::Unsound { frame: frame(), kind, idx });
        }
        if class_idx as usize >= n_classes {
            return Err(FrameError::UnknownClass { frame: frame(), kind, idx, class_idx, n_classes });
        }
        Ok(())
    };
    for (idx, o) in frame.objects.iter().enumerate() {
        one("object", idx, o.class_idx, &o.bbox, 0.0, o.velocity)?;
    }
    for (idx, d) in frame.detections.iter().enumerate() {
        one("detection", idx, d.class_idx, &d.bbox, d.score, d.velocity)?;
    }
    Ok(())
}

fn numbers(bbox: &Box3d, velocity: Option<[f32; 2]>) -> [f32; 9] {
    let ([x, y, z], [l, w, h], [vx, vy]) = (bbox.center, bbox.size, velocity.unwrap_or_default());
    [x, y, z, l, w, h, bbox.yaw, vx, vy]
}

fn in_turn(a: [f32; 9], b: [f32; 9]) -> Ordering {
    let differing = a.iter().zip(&b).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne());
    differing.unwrap_or(Ordering::Equal)
}

fn object_order(a: &Object, b: &Object) -> Ordering {
    let rest = |o: &Object| (o.velocity.is_some(), o.n_points, o.occlusion, o.ignored);
    a.class_idx
        .cmp(&b.class_idx)
        .then_with(|| in_turn(numbers(&a.bbox, a.velocity), numbers(&b.bbox, b.velocity)))
        .then_with(|| rest(a).cmp(&rest(b)))
}

/// Best first.
fn found_order(a: &Found, b: &Found) -> Ordering {
    let rest = |d: &Found| (d.velocity.is_some(), d.n_points);
    b.score
        .total_cmp(&a.score)
        .then_with(|| a.class_idx.cmp(&b.class_idx))
        .then_with(|| in_turn(numbers(&a.bbox, a.velocity), numbers(&b.bbox, b.velocity)))
        .then_with(|| rest(a).cmp(&rest(b)))
}

/// Every part is preceded by its length or has a fixed one, so no two sets share their bytes.
fn label_digest(classes: &[String], frames: &[Frame]) -> String {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    hash.update(b"pilotis labels 1\n");
    hash.update((classes.len() as u64).to_le_bytes());
    classes.iter().for_each(|name| text(&mut hash, name));
    hash.update((frames.len() as u64).to_le_bytes());
    for frame in frames {
        text(&mut hash, &frame.name);
        hash.update((frame.objects.len() as u64).to_le_bytes());
        for o in &frame.objects {
            hash.update(o.class_idx.to_le_bytes());
            numbers(&o.bbox, o.velocity).iter().for_each(|v| hash.update(v.to_le_bytes()));
            hash.update(o.n_points.to_le_bytes());
            let occlusion = o.occlusion.unwrap_or(0);
            let known = [o.velocity.is_some(), o.occlusion.is_some(), o.ignored].map(u8::from);
            hash.update([known[0], known[1], known[2], occlusion]);
        }
    }
    hex(&hash.finalize())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
