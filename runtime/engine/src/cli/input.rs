//! Input: cloud files as the command line names them, and errors in words for people.

use anyhow::{Context, Result, bail};
use pilotis_runtime::device::cuda::DeviceFault;
use pilotis_runtime::{CloudFile, Engine};
use pilotis_spec::{FrameError, FrameErrorCode, PointLayout};
use std::path::{Path, PathBuf};

/// Opens a cloud. Headerless records are read in the layout asked for, else a `.pcd.bin` in
/// nuScenes' and every other file in the model's.
///
/// **Errors**: those of [`CloudFile::open`], and a folder.
pub(super) fn open(
    path: &Path,
    asked: Option<&PointLayout>,
    model: Option<&PointLayout>,
) -> Result<CloudFile> {
    if path.is_dir() {
        bail!("`{}` is a folder: pass the files in it, such as {}/*.bin", path.display(), path.display());
    }
    let layout = layout_of(path, asked, model);
    let cloud = CloudFile::open(path, layout.as_ref());
    let is_pcd = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pcd"));
    let hint = asked.is_none() && layout.is_some() && !is_pcd;
    match cloud {
        Err(e) if hint && e.kind() == pilotis_runtime::BuildErrorKind::Cloud => {
            let layout = layout.map(|l| l.to_string()).unwrap_or_default();
            Err(e).with_context(|| format!("it was taken for layout {layout}; --layout names another"))
        }
        other => Ok(other?),
    }
}

/// The layout in which headerless records of a file are read.
pub(super) fn layout_of(
    path: &Path,
    asked: Option<&PointLayout>,
    model: Option<&PointLayout>,
) -> Option<PointLayout> {
    let is_nuscenes = path.file_name().is_some_and(|n| n.to_string_lossy().ends_with(".pcd.bin"));
    let named = is_nuscenes.then(PointLayout::nuscenes);
    asked.cloned().or(named).or_else(|| model.cloned())
}

/// The files of a list, where a folder stands for its `.bin` and `.pcd` files in order of name.
///
/// **Errors**: a folder that cannot be read or holds no clouds.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let cannot_read = || format!("cannot read the folder `{}`", path.display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).with_context(cannot_read)? {
            let file = entry.with_context(cannot_read)?.path();
            let is_cloud = file.extension().is_some_and(|e| e == "bin" || e == "pcd");
            if is_cloud && file.is_file() {
                found.push(file);
            }
        }
        if found.is_empty() {
            bail!("the folder `{}` holds no .bin or .pcd files", path.display());
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// A failed frame, in words that say what to do on this command line.
pub(super) fn explain(error: FrameError, engine: &Engine) -> String {
    let thousandths = |n: u64| n as f64 / 1e3;
    match error.code {
        FrameErrorCode::IntensityMismatch => format!(
            "{} stage: {}: its mean intensity is {:.3}, the model was trained on {:.3}; --allow-mismatch goes on all the same",
            error.stage.name(),
            error.code.message(),
            thousandths(error.got),
            thousandths(error.limit)
        ),
        FrameErrorCode::HeadFailed => format!("{error}: {}", engine.last_head_error()),
        FrameErrorCode::DeviceFault => {
            let fault = DeviceFault { code: u32::try_from(error.got).unwrap_or(u32::MAX) };
            format!("{} stage: {}: {fault}", error.stage.name(), error.code.message())
        }
        _ => error.to_string(),
    }
}

/// An error and its causes as one line, without those that the line says already.
pub(super) fn describe(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.trim();
        if !cause.is_empty() && !line.contains(cause) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(cause);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_askers_then_the_names_then_the_models() {
        let (kitti, sweeps) = (PointLayout::kitti(), PointLayout::nuscenes_sweeps_f16());
        let of = |name: &str, asked, model| layout_of(Path::new(name), asked, model);
        assert_eq!(of("a.pcd.bin", Some(&kitti), Some(&sweeps)), Some(kitti.clone()));
        assert_eq!(of("a.pcd.bin", None, Some(&kitti)), Some(PointLayout::nuscenes()));
        assert_eq!(of("a.bin", None, Some(&kitti)), Some(kitti.clone()));
        assert_eq!(of("a.bin", None, None), None);
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_twice() {
        let error = anyhow::anyhow!("no such file").context("cannot open `a`: no such file").context("model");
        assert_eq!(describe(&error), "model: cannot open `a`: no such file");
    }

    #[test]
    fn folders_stand_for_their_clouds_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.pcd", "a.bin", "c.pcd.bin", "notes.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("d.bin")).unwrap();
        let one = PathBuf::from("one");
        let files = expand(&[one.clone(), dir.path().to_owned()]).unwrap();
        let names = ["a.bin", "b.pcd", "c.pcd.bin"].map(|n| dir.path().join(n));
        assert_eq!(files[0], one);
        assert_eq!(files[1..], names);
        let empty = dir.path().join("d.bin");
        assert!(expand(&[empty]).unwrap_err().to_string().contains("no .bin or .pcd"));
    }
}
