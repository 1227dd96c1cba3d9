//! `frames.jsonl`: every object and every box, one frame a line.
//!
//! The first line says how the lists of the others are to be read. Numbers are the shortest ones that
//! give the same `f32` again.

use super::{RUN_SCHEMA_VERSION, RunError};
use crate::analysis::{Found, Frame, FrameSet, Object, hex};
use pilotis_spec::{Box3d, StageTimes};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

const OBJECT_FIELDS: &str = "class_idx, [x, y, z, length, width, height, yaw], [vx, vy] or null, n_points, occlusion or null, ignored";
const DETECTION_FIELDS: &str =
    "class_idx, score, [x, y, z, length, width, height, yaw], [vx, vy] or null, n_points or null";
const TIME_FIELDS: &str = "points, pillars, bev, head, boxes, frame, in ns";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema_version: u64,
    objects: String,
    detections: String,
    times: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameRecord {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<[u64; 6]>,
    objects: Vec<ObjectRecord>,
    detections: Vec<FoundRecord>,
}

#[derive(Serialize, Deserialize)]
struct ObjectRecord(u32, [f32; 7], Option<[f32; 2]>, u32, Option<u8>, bool);

#[derive(Serialize, Deserialize)]
struct FoundRecord(u32, f32, [f32; 7], Option<[f32; 2]>, Option<u32>);

/// Writes the file; answers with its SHA-256.
pub(super) fn write(path: &Path, set: &FrameSet) -> Result<String, RunError> {
    let failed = |source| RunError::Write { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    let mut hash = Sha256::new();
    let header = Header {
        schema_version: RUN_SCHEMA_VERSION,
        objects: OBJECT_FIELDS.to_owned(),
        detections: DETECTION_FIELDS.to_owned(),
        times: TIME_FIELDS.to_owned(),
    };
    let mut line = serde_json::to_vec(&header).map_err(|e| failed(e.into()))?;
    for frame in set.frames().iter().map(Some).chain([None]) {
        line.push(b'\n');
        hash.update(&line);
        out.write_all(&line).map_err(failed)?;
        if let Some(frame) = frame {
            line.clear();
            serde_json::to_writer(&mut line, &FrameRecord::of(frame)).map_err(|e| failed(e.into()))?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(hex(&hash.finalize()))
}

/// Reads the file; answers with its frames and its SHA-256.
pub(super) fn read(path: &Path) -> Result<(Vec<Frame>, String), RunError> {
    let failed = |source| RunError::Read { path: path.to_owned(), source };
    let wrong = |line: usize, reason: String| RunError::Line { path: path.to_owned(), line, reason };
    let mut lines = BufReader::new(File::open(path).map_err(failed)?);
    let (mut frames, mut hash, mut line) = (Vec::new(), Sha256::new(), Vec::new());
    let mut n_lines = 0;
    while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        n_lines += 1;
        hash.update(&line);
        if n_lines == 1 {
            let header: Header = serde_json::from_slice(&line).map_err(|e| wrong(1, e.to_string()))?;
            if header.schema_version != RUN_SCHEMA_VERSION {
                return Err(RunError::Schema { path: path.to_owned(), found: header.schema_version });
            }
        } else {
            let record: FrameRecord =
                serde_json::from_slice(&line).map_err(|e| wrong(n_lines, e.to_string()))?;
            frames.push(record.into_frame());
        }
        line.clear();
    }
    if n_lines == 0 {
        return Err(wrong(1, "the file is empty".to_owned()));
    }
    Ok((frames, hex(&hash.finalize())))
}

fn numbers(bbox: &Box3d) -> [f32; 7] {
    let ([x, y, z], [l, w, h]) = (bbox.center, bbox.size);
    [x, y, z, l, w, h, bbox.yaw]
}

fn bbox([x, y, z, l, w, h, yaw]: [f32; 7]) -> Box3d {
    Box3d { center: [x, y, z], size: [l, w, h], yaw }
}

impl FrameRecord {
    fn of(frame: &Frame) -> Self {
        let times = |t: StageTimes| [t.points_ns, t.pillars_ns, t.bev_ns, t.head_ns, t.boxes_ns, t.frame_ns];
        let object = |o: &Object| {
            ObjectRecord(o.class_idx, numbers(&o.bbox), o.velocity, o.n_points, o.occlusion, o.ignored)
        };
        let found = |d: &Found| FoundRecord(d.class_idx, d.score, numbers(&d.bbox), d.velocity, d.n_points);
        Self {
            name: frame.name.clone(),
            group: frame.group.clone(),
            times: frame.times.map(times),
            objects: frame.objects.iter().map(object).collect(),
            detections: frame.detections.iter().map(found).collect(),
        }
    }

    fn into_frame(self) -> Frame {
        let times = |[points_ns, pillars_ns, bev_ns, head_ns, boxes_ns, frame_ns]: [u64; 6]| StageTimes {
            points_ns,
            pillars_ns,
            bev_ns,
            head_ns,
            boxes_ns,
            frame_ns,
        };
        let object = |ObjectRecord(class_idx, numbers, velocity, n_points, occlusion, ignored)| Object {
            class_idx,
            bbox: bbox(numbers),
            velocity,
            n_points,
            occlusion,
            ignored,
        };
        let found = |FoundRecord(class_idx, score, numbers, velocity, n_points)| Found {
            class_idx,
            bbox: bbox(numbers),
            score,
            velocity,
            n_points,
        };
        Frame {
            name: self.name,
            group: self.group,
            times: self.times.map(times),
            objects: self.objects.into_iter().map(object).collect(),
            detections: self.detections.into_iter().map(found).collect(),
        }
    }
}
