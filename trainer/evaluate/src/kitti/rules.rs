//! What is counted, what is ignored, and what is of another kind.

use pilotis_datasets::kitti::{DONT_CARE, Difficulty, LabelLine};

/// Which of the evaluators in use decides where they differ.
///
/// | | `Ports` | `StrictCpp` |
/// |---|---|---|
/// | label as tall as the least height | ignored | counted |
/// | height of a detection | as it is | cut to whole pixels |
/// | detection without an image box | no rule of height on the ground and in 3D | as any other |
/// | `DontCare` | written so, in the image only | in any case of letters, on the ground and in 3D too |
/// | class without detections | 0 | not evaluated |
/// | AOS | where any detection has an angle | where every detection has one |
///
/// **Source**: `evaluate_object.cpp` of KITTI's development kit; the ports are mmdet3d's
/// `kitti_utils/eval.py` and OpenPCDet's, which descend from one. The third line is ours: ports
/// ignore such a detection everywhere, and every figure is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// The Python ports, on which published figures rest.
    #[default]
    Ports,
    /// The official C++ evaluator.
    StrictCpp,
}

impl Rules {
    /// As in the keys of reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::StrictCpp => "strict_cpp",
        }
    }

    fn is_tall_enough(self, label: &LabelLine, difficulty: Difficulty) -> bool {
        let (height, least) = (label.height_px(), difficulty.min_height_px());
        match self {
            Self::Ports => height > least,
            Self::StrictCpp => height >= least,
        }
    }

    fn is_detection_tall_enough(self, detection: &LabelLine, difficulty: Difficulty) -> bool {
        let height = detection.height_px().abs();
        let height = if self == Self::StrictCpp { height.trunc() } else { height };
        height >= difficulty.min_height_px()
    }

    /// Whether a label marks a region in which nothing was labelled.
    pub(super) fn is_region(self, label: &LabelLine) -> bool {
        match self {
            Self::Ports => label.class_name == DONT_CARE,
            Self::StrictCpp => label.is_dont_care(),
        }
    }
}

/// A class that is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Class {
    /// As KITTI writes it.
    pub name: &'static str,
    /// A class so like it that finding one is no mistake.
    neighbour: Option<&'static str>,
    /// Overlap that a detection must exceed: in the image, on the ground, in 3D.
    strict: f64,
    /// The same on the ground and in 3D by the loose table.
    loose: f64,
}

/// The classes that are evaluated, in the order of reports.
pub const CLASSES: [Class; 3] = [
    Class { name: "Car", neighbour: Some("Van"), strict: 0.7, loose: 0.5 },
    Class { name: "Pedestrian", neighbour: Some("Person_sitting"), strict: 0.5, loose: 0.25 },
    Class { name: "Cyclist", neighbour: None, strict: 0.5, loose: 0.25 },
];

/// Where boxes are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Boxes of pixels.
    Image,
    /// Footprints, seen from above.
    Ground,
    /// Boxes in 3D.
    Space,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Image, Self::Ground, Self::Space];
}

/// Which overlaps are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// 0.7 for cars, 0.5 for pedestrians and cyclists: the benchmark's.
    Strict,
    /// 0.5 and 0.25 on the ground and in 3D; in the image as before. Printed by the ports beside it.
    Loose,
}

impl Table {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Strict, Self::Loose];

    /// Lower case, as in the keys of reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Loose => "loose",
        }
    }
}

impl Class {
    /// The overlap that a detection must exceed.
    pub fn min_overlap(&self, place: Place, table: Table) -> f64 {
        if place == Place::Image || table == Table::Strict { self.strict } else { self.loose }
    }

    pub(super) fn is(&self, line: &LabelLine) -> bool {
        line.class_name.eq_ignore_ascii_case(self.name)
    }

    fn is_neighbour(&self, label: &LabelLine) -> bool {
        self.neighbour.is_some_and(|name| label.class_name.eq_ignore_ascii_case(name))
    }
}

/// What a label or a detection is to a class at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Found or missed, right or wrong.
    Counted,
    /// Whatever becomes of it is neither.
    Ignored,
    /// Of another class: as if it were not there.
    Other,
}

/// What a label is.
pub(super) fn role_of_label(label: &LabelLine, class: &Class, difficulty: Difficulty, rules: Rules) -> Role {
    if class.is_neighbour(label) {
        Role::Ignored
    } else if !class.is(label) {
        Role::Other
    } else if difficulty.is_visible_enough(label) && rules.is_tall_enough(label, difficulty) {
        Role::Counted
    } else {
        Role::Ignored
    }
}

/// What a detection is. One that is too low is ignored whatever its class, as in the official code.
pub(super) fn role_of_detection(
    detection: &LabelLine,
    class: &Class,
    difficulty: Difficulty,
    place: Place,
    rules: Rules,
) -> Role {
    let has_no_height = rules == Rules::Ports && place != Place::Image && !has_image_box(detection);
    if !has_no_height && !rules.is_detection_tall_enough(detection, difficulty) {
        Role::Ignored
    } else if class.is(detection) {
        Role::Counted
    } else {
        Role::Other
    }
}

/// Whether a detection states an image box: four times -1 or 0 is what detectors without one write.
pub(super) fn has_image_box(detection: &LabelLine) -> bool {
    let all = |value: f64| detection.image_box.iter().all(|v| (v - value).abs() < f64::EPSILON);
    !all(-1.0) && !all(0.0)
}

/// What KITTI writes in place of a coordinate or an angle that is not known.
const NO_PLACE_M: f64 = -1000.0;
const NO_ANGLE_RAD: f64 = -10.0;

/// Whether a detection states where it stands.
pub(super) fn has_place(detection: &LabelLine, axis: usize) -> bool {
    (detection.location[axis] - NO_PLACE_M).abs() > f64::EPSILON
}

/// Whether a line states its angle to the line of sight.
pub(super) fn has_angle(line: &LabelLine) -> bool {
    (line.alpha_rad - NO_ANGLE_RAD).abs() > f64::EPSILON
}
