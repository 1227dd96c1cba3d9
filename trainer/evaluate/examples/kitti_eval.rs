//! KITTI evaluation as a small program of its own, and the generated cases it is tested on.
//!
//! ```text
//! cargo run -p pilotis-evaluate --example kitti_eval -- evaluate --gt label_2 --pred results
//! cargo run -p pilotis-evaluate --example kitti_eval -- cases --out folder
//! ```

#![allow(clippy::print_stdout, reason = "a command that talks to its caller")]

#[path = "../tests/kitti/cases.rs"]
mod cases;

use clap::Parser;
use pilotis_datasets::kitti::LabelLine;
use pilotis_evaluate::kitti::{Rules, Sources, evaluate, load};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Parser)]
enum Command {
    /// Print the figures of a folder of results
    Evaluate {
        /// Folder of labels
        #[arg(long)]
        gt: PathBuf,
        /// Folder of results
        #[arg(long)]
        pred: PathBuf,
        /// File that names the frames
        #[arg(long)]
        split: Option<PathBuf>,
        /// The rules of the C++ evaluator
        #[arg(long)]
        strict_cpp: bool,
        /// Frames without a file of results have no boxes
        #[arg(long)]
        missing_as_empty: bool,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Write the generated cases: `CASE/label_2`, `CASE/results`, and our `CASE/figures.json`
    Cases {
        /// Folder to write into
        #[arg(long)]
        out: PathBuf,
    },
}

fn write_lines(path: &Path, lines: &[LabelLine]) -> std::io::Result<()> {
    let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, lines.concat())
}

fn write_cases(out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for spec in &cases::CASES {
        let folder = out.join(spec.name);
        let (labels, results) = (folder.join("label_2"), folder.join("results"));
        fs::create_dir_all(&labels)?;
        fs::create_dir_all(&results)?;
        for frame in cases::frames(spec) {
            let name = format!("{}.txt", frame.name);
            write_lines(&labels.join(&name), &frame.labels)?;
            write_lines(&results.join(&name), &frame.detections)?;
        }
        // Through the files, as anyone else's would come.
        let sources = Sources { labels: &labels, results: &results, split: None, missing_as_empty: false };
        let report = evaluate(&load(&sources)?.frames, Rules::Ports)?;
        fs::write(folder.join("figures.json"), serde_json::to_string(&report.figures())?)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match Command::parse() {
        Command::Evaluate { gt, pred, split, strict_cpp, missing_as_empty, json } => {
            let sources = Sources { labels: &gt, results: &pred, split: split.as_deref(), missing_as_empty };
            let loaded = load(&sources)?;
            let report = evaluate(&loaded.frames, if strict_cpp { Rules::StrictCpp } else { Rules::Ports })?;
            if json {
                println!("{:#}", report.summary_of(&loaded));
            } else {
                print!("{report}");
            }
            Ok(())
        }
        Command::Cases { out } => write_cases(&out),
    }
}
