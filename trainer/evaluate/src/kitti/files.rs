//! Reading the files that an evaluation is of.

use super::{FrameLines, KittiError};
use pilotis_datasets::DatasetError;
use pilotis_datasets::kitti::LabelLine;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Where the files lie, and which of them count.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Folder of labels, `NAME.txt` each, as KITTI's `label_2`.
    pub labels: &'a Path,
    /// Folder of results, of the same names.
    pub results: &'a Path,
    /// File that names the frames, one a line; without it, all that have labels are evaluated.
    pub split: Option<&'a Path>,
    /// Whether a frame without a file of results is one without boxes. The official code refuses it,
    /// and so do we unless told otherwise: a run that ended early would pass for a poor detector.
    pub missing_as_empty: bool,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The frames, by name.
    pub frames: Vec<FrameLines>,
    /// Frames without a file of results.
    pub n_missing: usize,
    /// Files of results that the split does not name.
    pub n_left_out: usize,
}

/// Reads labels and results.
///
/// A label has 15 fields, a result 16; what stands between them and at the end of a line may be any
/// blanks, and blank lines are none. Types that KITTI does not know are of no evaluated class.
///
/// **Errors**: the file and the line; frames without results, results without labels (unless a
/// split names the frames), a frame that is named twice, no frames.
/// **Determinism**: of several files that are wrong, the first by name is reported.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, KittiError> {
    let results = names_in(sources.results)?;
    let labels = match sources.split {
        Some(split) => names_of_split(split)?,
        None => names_in(sources.labels)?,
    };
    if labels.is_empty() {
        let folder = sources.split.unwrap_or(sources.labels).to_owned();
        return Err(KittiError::NoFrames { folder });
    }
    let file = |folder: &Path, name: &String| folder.join(format!("{name}.txt"));
    let mut unknown = results.difference(&labels).map(|name| file(sources.results, name));
    let n_left_out = results.difference(&labels).count();
    if let (None, Some(first)) = (sources.split, unknown.next()) {
        return Err(KittiError::UnknownResults { n_files: n_left_out, first });
    }
    let mut missing = labels.difference(&results).map(|name| file(sources.results, name));
    let n_missing = labels.difference(&results).count();
    if let (false, Some(first)) = (sources.missing_as_empty, missing.next()) {
        return Err(KittiError::MissingResults { n_missing, n_frames: labels.len(), first });
    }
    let names: Vec<&String> = labels.iter().collect();
    let frames: Vec<Result<FrameLines, DatasetError>> = names
        .into_par_iter()
        .map(|name| {
            let detections = if results.contains(name) {
                read(&file(sources.results, name), Kind::Result)?
            } else {
                Vec::new()
            };
            let labels = read(&file(sources.labels, name), Kind::Label)?;
            Ok(FrameLines { name: name.clone(), labels, detections })
        })
        .collect();
    // Collected before an error is looked for, so that it is the first by name.
    let frames: Result<Vec<FrameLines>, DatasetError> = frames.into_iter().collect();
    Ok(Loaded { frames: frames?, n_missing, n_left_out })
}

/// Names of the text files of a folder.
fn names_in(folder: &Path) -> Result<BTreeSet<String>, DatasetError> {
    let failed = |source| DatasetError::Read { path: folder.to_owned(), source };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let (Some(stem), true) = (stem, path.extension().is_some_and(|e| e == "txt") && path.is_file()) {
            names.insert(stem.to_owned());
        }
    }
    Ok(names)
}

fn names_of_split(split: &Path) -> Result<BTreeSet<String>, KittiError> {
    let mut names = BTreeSet::new();
    for (idx, line) in read_text(split)?.lines().enumerate() {
        let name = line.trim();
        if name.contains(['/', '\\']) || name == ".." {
            let reason = format!("`{name}` is no name of a frame");
            return Err(DatasetError::Line { path: split.to_owned(), line: idx + 1, reason }.into());
        }
        if !name.is_empty() && !names.insert(name.to_owned()) {
            return Err(KittiError::Duplicate { name: name.to_owned() });
        }
    }
    Ok(names)
}

fn read_text(path: &Path) -> Result<String, DatasetError> {
    std::fs::read_to_string(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Label,
    Result,
}

fn read(path: &Path, kind: Kind) -> Result<Vec<LabelLine>, DatasetError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |line: &str| match (LabelLine::parse(line)?, kind) {
        (LabelLine { score: None, .. }, Kind::Result) => {
            Err("15 fields: a result has 16, the last of them its score".to_owned())
        }
        (LabelLine { score: Some(_), .. }, Kind::Label) => {
            Err("16 fields: a label has 15; are these results?".to_owned())
        }
        (line, _) => Ok(line),
    };
    lines
        .map(|(idx, line)| {
            parse(line).map_err(|reason| DatasetError::Line { path: path.to_owned(), line: idx + 1, reason })
        })
        .collect()
}
