//! Which detection takes which label, in one frame.

use super::curve::Counts;
use super::overlap::{Solid, image_iou, image_share};
use super::rules::{Class, Place, Role, Rules, role_of_detection, role_of_label};
use super::FrameLines;
use pilotis_datasets::kitti::{Difficulty, LabelLine};

/// A frame with everything that does not depend on class and level.
pub(super) struct Scene<'a> {
    frame: &'a FrameLines,
    regions: Vec<&'a LabelLine>,
    /// Overlap of each label with each detection, at each place: `label * n_detections + detection`.
    overlaps: [Vec<f64>; 3],
    solids: Vec<Solid>,
    region_solids: Vec<Solid>,
}

impl<'a> Scene<'a> {
    pub(super) fn of(frame: &'a FrameLines, rules: Rules) -> Self {
        let regions: Vec<&LabelLine> = frame.labels.iter().filter(|l| rules.is_region(l)).collect();
        let solids: Vec<Solid> = frame.detections.iter().map(Solid::of).collect();
        let mut overlaps = [const { Vec::new() }; 3];
        for label in &frame.labels {
            let solid = Solid::of(label);
            for (detection, detected) in frame.detections.iter().zip(&solids) {
                let shared = detected.shared_area(&solid);
                overlaps[Place::Image as usize].push(image_iou(&detection.image_box, &label.image_box));
                overlaps[Place::Ground as usize].push(detected.iou_above(&solid, shared));
                overlaps[Place::Space as usize].push(detected.iou(&solid, shared));
            }
        }
        let region_solids = regions.iter().map(|r| Solid::of(r)).collect();
        Self { frame, regions, overlaps, solids, region_solids }
    }

    /// The largest share of a detection that lies in a region.
    fn share_in_regions(&self, idx: usize, place: Place, rules: Rules) -> f64 {
        let detection = &self.frame.detections[idx];
        let in_image = self.regions.iter().map(|r| image_share(&detection.image_box, &r.image_box));
        let solid = &self.solids[idx];
        let largest = |shares: &mut dyn Iterator<Item = f64>| shares.fold(0.0, f64::max);
        match (place, rules) {
            (Place::Image, _) => largest(&mut { in_image }),
            (_, Rules::Ports) => 0.0,
            (Place::Ground, _) => largest(&mut self.region_solids.iter().map(|r| solid.area_share(r))),
            (Place::Space, _) => largest(&mut self.region_solids.iter().map(|r| solid.volume_share(r))),
        }
    }
}

/// What is asked of the frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) class: &'static Class,
    pub(super) difficulty: Difficulty,
    pub(super) place: Place,
    pub(super) min_overlap: f64,
    pub(super) rules: Rules,
}

/// A label that plays a part.
struct Object {
    is_counted: bool,
    alpha_rad: f64,
    /// The detections that overlap it enough, in the order of the file, and by how much.
    near: Vec<(usize, f64)>,
}

/// A detection that plays a part.
struct Candidate {
    is_counted: bool,
    score: f64,
    alpha_rad: f64,
    /// Lies in a region where nothing was labelled.
    is_in_region: bool,
}

/// What of a frame plays a part in the answer to a question.
pub(super) struct Contest {
    objects: Vec<Object>,
    candidates: Vec<Candidate>,
}

impl Contest {
    pub(super) fn of(scene: &Scene<'_>, question: &Question) -> Self {
        let Question { class, difficulty, place, min_overlap, rules } = *question;
        let frame = scene.frame;
        let (mut candidates, mut taken_from) = (Vec::new(), Vec::new());
        for (idx, detection) in frame.detections.iter().enumerate() {
            let role = role_of_detection(detection, class, difficulty, place, rules);
            if role == Role::Other {
                continue;
            }
            taken_from.push(idx);
            candidates.push(Candidate {
                is_counted: role == Role::Counted,
                score: detection.score.unwrap_or(f64::NEG_INFINITY),
                alpha_rad: detection.alpha_rad,
                is_in_region: role == Role::Counted
                    && scene.share_in_regions(idx, place, rules) > min_overlap,
            });
        }
        let overlaps = &scene.overlaps[place as usize];
        let mut objects = Vec::new();
        for (label_idx, label) in frame.labels.iter().enumerate() {
            let role = role_of_label(label, class, difficulty, rules);
            if role == Role::Other {
                continue;
            }
            let overlap_with = |detection_idx: usize| overlaps[label_idx * frame.detections.len() + detection_idx];
            let near = taken_from.iter().enumerate().map(|(idx, from)| (idx, overlap_with(*from)));
            objects.push(Object {
                is_counted: role == Role::Counted,
                alpha_rad: label.alpha_rad,
                near: near.filter(|(_, overlap)| *overlap > min_overlap).collect(),
            });
        }
        Self { objects, candidates }
    }

    /// Whether the frame can change no answer.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.candidates.iter().all(|c| !c.is_counted)
    }

    /// Labels that are to be found.
    pub(super) fn n_counted(&self) -> usize {
        self.objects.iter().filter(|o| o.is_counted).count()
    }

    /// Scores of the detections that find something when nothing is cut off.
    ///
    /// Each label takes the free detection of the highest score, of equal ones the first.
    pub(super) fn scores_of_found(&self, scores: &mut Vec<f64>) {
        let mut is_taken = vec![false; self.candidates.len()];
        for object in &self.objects {
            let mut best: Option<usize> = None;
            for (idx, _) in &object.near {
                let is_better = best.is_none_or(|b| self.candidates[*idx].score > self.candidates[b].score);
                if !is_taken[*idx] && is_better {
                    best = Some(*idx);
                }
            }
            let Some(idx) = best else { continue };
            is_taken[idx] = true;
            if object.is_counted && self.candidates[idx].is_counted {
                scores.push(self.candidates[idx].score);
            }
        }
    }

    /// What the detections of at least this score come to.
    ///
    /// Each label takes the free detection that counts and overlaps it most, of equal ones the
    /// first; only where none counts, the first that is ignored.
    pub(super) fn count(&self, threshold: f64, is_taken: &mut Vec<bool>, counts: &mut Counts) {
        is_taken.clear();
        is_taken.resize(self.candidates.len(), false);
        for object in &self.objects {
            let mut best: Option<(usize, f64)> = None;
            let mut first_ignored = None;
            for (idx, overlap) in &object.near {
                let candidate = &self.candidates[*idx];
                if is_taken[*idx] || candidate.score < threshold {
                    continue;
                }
                if !candidate.is_counted {
                    first_ignored = first_ignored.or(Some(*idx));
                } else if best.is_none_or(|(_, most)| *overlap > most) {
                    best = Some((*idx, *overlap));
                }
            }
            let Some(idx) = best.map(|(idx, _)| idx).or(first_ignored) else {
                counts.n_missed += usize::from(object.is_counted);
                continue;
            };
            is_taken[idx] = true;
            let candidate = &self.candidates[idx];
            if object.is_counted && candidate.is_counted {
                counts.n_found += 1;
                counts.similarity += (1.0 + libm::cos(object.alpha_rad - candidate.alpha_rad)) / 2.0;
            }
        }
        let free = self.candidates.iter().zip(is_taken.iter()).filter(|(_, is_taken)| !**is_taken);
        counts.n_false += free
            .filter(|(c, _)| c.is_counted && !c.is_in_region && c.score >= threshold)
            .count();
    }
}
