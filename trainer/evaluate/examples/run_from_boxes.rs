//! Makes a run folder of labels in KITTI's layout and of what `pilotis run --json` found.
//!
//! ```sh
//! pilotis run --model MODEL --json boxes.jsonl DATA/training/velodyne/*.bin
//! cargo run --release -p pilotis-evaluate --example run_from_boxes -- DATA boxes.jsonl OUT
//! ```
//!
//! Frame times are those of the lines' reports. The model's digest is that of the file of boxes, since
//! nothing else of the model is known here; `pilotis-trainer evaluate package` knows it.

use pilotis_datasets::Dataset;
use pilotis_datasets::kitti::KittiDataset;
use pilotis_evaluate::analysis::{Frame, FrameSet, Rules, TellsVelocity};
use pilotis_evaluate::run::{About, Model, Platform, Run};
use pilotis_spec::{Box3d, Detection, StageTimes};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;

/// Frames of one drive that follow each other in a simulated folder.
const FRAMES_OF_A_DRIVE: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, boxes, out] = arguments.as_slice() else {
        return Err("three arguments: DATA boxes.jsonl OUT".into());
    };
    let classes = ["car", "pedestrian", "cyclist"].map(str::to_owned).to_vec();
    let dataset = KittiDataset::open(Path::new(data), "all", BTreeMap::new())?;
    let text = std::fs::read_to_string(boxes)?;
    let found = read_boxes(&text, &classes)?;
    let mut frames = Vec::new();
    for idx in 0..dataset.n_samples() {
        let sample = dataset.load(idx)?;
        let (detections, times) =
            found.get(&sample.name).ok_or_else(|| format!("no line of sample `{}`", sample.name))?;
        let frame = Frame::from_sample(&sample, detections, &classes, TellsVelocity::default());
        let drive = format!("drive-{:03}", idx / FRAMES_OF_A_DRIVE);
        frames.push(frame.with_points_counted(&sample.points).in_group(drive).timed(*times));
    }
    let digest = Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    let about = About {
        model: Model { name: "boxes of pilotis run".to_owned(), package_sha256: digest },
        platform: Platform {
            machine: "this machine".to_owned(),
            device: "cpu, 1 thread".to_owned(),
            precision: "fp32".to_owned(),
        },
        dataset: "simulated drives".to_owned(),
        split: "all".to_owned(),
    };
    let region_m = Some([0.0, -25.6, 51.2, 25.6]);
    let rules = Rules { region_m, min_points: 5, ..Rules::default() };
    let run = Run::new(about, FrameSet::new(classes, frames)?, &rules)?;
    let cloud = |name: &str| {
        let idx = (0..dataset.n_samples()).find(|idx| dataset.name(*idx) == name)?;
        dataset.load(idx).ok().map(|sample| sample.points)
    };
    run.write(Path::new(out), &cloud)?;
    writeln!(std::io::stdout(), "{out}: labels {}", run.set().dataset_sha256())?;
    Ok(())
}

type Found = BTreeMap<String, (Vec<Detection>, StageTimes)>;

/// Boxes and times of every line, by the name of its file.
fn read_boxes(text: &str, classes: &[String]) -> Result<Found, Box<dyn Error>> {
    let mut found = Found::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line)?;
        let file = line["file"].as_str().ok_or("a line without a file")?;
        let name = Path::new(file).file_stem().and_then(|s| s.to_str()).ok_or("a file without a name")?;
        let boxes = line["boxes"].as_array().ok_or_else(|| format!("`{file}` has no boxes"))?;
        let detections =
            boxes.iter().map(|b| detection(b, classes)).collect::<Result<_, Box<dyn Error>>>()?;
        let ns = |stage: &str| (line["report"]["times_ms"][stage].as_f64().unwrap_or(0.0) * 1e6) as u64;
        let times = StageTimes {
            points_ns: ns("points"),
            pillars_ns: ns("pillars"),
            bev_ns: ns("bev"),
            head_ns: ns("head"),
            boxes_ns: ns("boxes"),
            frame_ns: ns("frame"),
        };
        found.insert(name.to_owned(), (detections, times));
    }
    Ok(found)
}

fn detection(of: &Value, classes: &[String]) -> Result<Detection, Box<dyn Error>> {
    let class_idx = classes.iter().position(|c| Some(c.as_str()) == of["class"].as_str());
    Ok(Detection {
        bbox: Box3d {
            center: serde_json::from_value(of["center"].clone())?,
            size: serde_json::from_value(of["size"].clone())?,
            yaw: serde_json::from_value(of["yaw"].clone())?,
        },
        velocity: [0.0; 2],
        score: serde_json::from_value(of["score"].clone())?,
        class_idx: class_idx.ok_or("a class that is not looked for")? as u32,
    })
}
