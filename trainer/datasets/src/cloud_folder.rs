//! A plain folder of clouds: `.pcd` files, which say themselves what they hold, and headerless `.bin` files, whose
//! records somebody has to state. There are no labels.
//!
//! nuScenes' `.pcd.bin` are headerless; where no layout is stated they are read as nuScenes has them.

use crate::{Dataset, DatasetError, Sample};
use pilotis_runtime::CloudFile;
use pilotis_spec::{Point, PointLayout};
use std::path::{Path, PathBuf};

/// The clouds of a folder, in the order of their names.
#[derive(Clone, Debug)]
pub struct CloudFolder {
    root: PathBuf,
    names: Vec<String>,
    layout: Option<PointLayout>,
}

/// Names of the clouds in a folder, sorted; files within further folders are not its own.
pub fn clouds_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| is_cloud(path) && path.is_file());
    let mut names: Vec<String> = paths.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

fn is_cloud(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bin") || e.eq_ignore_ascii_case("pcd"))
}

impl CloudFolder {
    /// Opens a folder; `layout` is that of its headerless files.
    ///
    /// **Errors**: no cloud in it, or a headerless one whose layout is neither stated nor known by its name.
    pub fn open(root: &Path, layout: Option<PointLayout>) -> Result<Self, DatasetError> {
        let names = clouds_in(root);
        let refuse = |path: PathBuf, reason: &str| DatasetError::File { path, reason: reason.to_owned() };
        if names.is_empty() {
            return Err(refuse(root.to_owned(), "holds no cloud: no file `*.bin` or `*.pcd`"));
        }
        let folder = Self { root: root.to_owned(), names, layout };
        let unstated =
            folder.names.iter().find(|name| is_headerless(name) && folder.layout_of(name).is_none());
        if let Some(name) = unstated {
            let reason =
                "has no header, and no layout is stated: kitti, nuscenes, or such as f32:x,y,z,intensity";
            return Err(refuse(root.join(name), reason));
        }
        Ok(folder)
    }

    fn layout_of(&self, name: &str) -> Option<PointLayout> {
        let known = || name.to_lowercase().ends_with(".pcd.bin").then(PointLayout::nuscenes);
        self.layout.clone().or_else(known)
    }

    /// The file of a cloud; `None` past the end.
    pub fn path(&self, idx: usize) -> Option<PathBuf> {
        self.names.get(idx).map(|name| self.root.join(name))
    }

    /// Every point of a file, those that are not finite included.
    ///
    /// **Errors**: the file, and what is wrong with it.
    pub fn read(&self, idx: usize) -> Result<Vec<Point>, DatasetError> {
        let n_samples = self.names.len();
        let name = self.names.get(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        let path = self.root.join(name);
        let failed = |reason: String| DatasetError::File { path: path.clone(), reason };
        let file =
            CloudFile::open(&path, self.layout_of(name).as_ref()).map_err(|e| failed(e.to_string()))?;
        file.read_points().map_err(|e| failed(e.to_string()))
    }
}

fn is_headerless(name: &str) -> bool {
    name.to_lowercase().ends_with(".bin")
}

impl Dataset for CloudFolder {
    fn n_samples(&self) -> usize {
        self.names.len()
    }

    fn name(&self, idx: usize) -> &str {
        self.names.get(idx).map_or("", String::as_str)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        let mut points = self.read(idx)?;
        points.retain(Point::is_finite);
        Ok(Sample { name: self.name(idx).to_owned(), points, objects: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PCD: &str = "VERSION .7\nFIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 2\n\
                       HEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA ascii\n1 2 3 0.5\nnan 0 0 0\n";

    fn records(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        put("b.PCD", PCD.as_bytes());
        put("c.pcd.bin", &records(&[1.0, 2.0, 3.0, 40.0, 5.0]));
        put("notes.txt", b"no cloud");
        std::fs::create_dir(folder.path().join("d.bin")).unwrap();
        folder
    }

    #[test]
    fn files_are_read_by_their_extension_in_the_order_of_their_names() {
        let folder = folder();
        std::fs::write(folder.path().join("a.bin"), records(&[7.0, 8.0, 9.0, 0.5])).unwrap();
        let clouds = CloudFolder::open(folder.path(), Some(PointLayout::kitti())).unwrap();
        let names: Vec<&str> = (0..4).map(|idx| clouds.name(idx)).collect();
        assert_eq!(names, ["a.bin", "b.PCD", "c.pcd.bin", ""]);
        assert_eq!(clouds.read(1).unwrap().len(), 2);
        let sample = clouds.load(1).unwrap();
        assert_eq!(sample.points, [Point { x: 1.0, y: 2.0, z: 3.0, intensity: 0.5, time_lag: 0.0 }]);
        assert!(sample.objects.is_empty());
        assert_eq!(clouds.load(0).unwrap().points[0].z.to_bits(), 9.0f32.to_bits());
        // A stated layout goes before what a name says: 20 bytes are no whole number of 16-byte records.
        let error = clouds.load(2).unwrap_err().to_string();
        assert!(error.contains("c.pcd.bin"), "{error}");
        assert!(clouds.load(3).unwrap_err().to_string().contains("no sample 3"));
    }

    #[test]
    fn headerless_files_need_a_layout_unless_they_are_nuscenes() {
        let folder = folder();
        let clouds = CloudFolder::open(folder.path(), None).unwrap();
        let nuscenes = clouds.load(1).unwrap().points;
        assert_eq!(nuscenes, [Point { x: 1.0, y: 2.0, z: 3.0, intensity: 40.0, time_lag: 0.0 }]);
        std::fs::write(folder.path().join("a.bin"), [0; 16]).unwrap();
        let error = CloudFolder::open(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("a.bin") && error.contains("no layout is stated"), "{error}");
    }

    #[test]
    fn a_folder_without_clouds_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = CloudFolder::open(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("holds no cloud"), "{error}");
        assert!(CloudFolder::open(&folder.path().join("missing"), None).is_err());
    }
}
