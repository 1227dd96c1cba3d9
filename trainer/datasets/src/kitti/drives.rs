//! Which drive each frame was cut out of.
//!
//! The development kit's `mapping` says it: `train_mapping.txt` has a line `DATE DRIVE FRAME` for each recorded
//! frame, and `train_rand.txt` one line of numbers, the k-th of which is the line, counted from 1, of frame k.

use crate::{DatasetError, read_text};
use std::path::{Path, PathBuf};

/// Where the files may lie below a dataset's folder: beside `training`, or in the kit as it is unpacked.
const FOLDERS: [&str; 2] = ["mapping", "devkit_object/mapping"];
/// A line for each recorded frame.
pub const MAPPING_FILE: &str = "train_mapping.txt";
/// The lines of the benchmark's frames.
pub const ORDER_FILE: &str = "train_rand.txt";

/// Names of drives, by the number of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Drives {
    of_frame: Vec<String>,
    path: PathBuf,
}

impl Drives {
    /// Reads the mapping of a dataset; `None` where there is none.
    ///
    /// **Errors**: the file, the line, and what is wrong with it.
    pub(super) fn of(root: &Path) -> Result<Option<Self>, DatasetError> {
        let found = FOLDERS
            .into_iter()
            .map(|name| root.join(name))
            .find(|folder| folder.join(MAPPING_FILE).is_file());
        let Some(folder) = found else { return Ok(None) };
        let (path, order_path) = (folder.join(MAPPING_FILE), folder.join(ORDER_FILE));
        let refuse = |path: &Path, line: usize, reason: String| DatasetError::Line {
            path: path.to_owned(),
            line,
            reason,
        };
        let text = read_text(&path)?;
        let mut drives = Vec::new();
        for (idx, line) in text.lines().enumerate() {
            let mut fields = line.split_whitespace();
            match (fields.next(), fields.next(), fields.next(), fields.next()) {
                (Some(_), Some(drive), Some(_), None) => drives.push(drive),
                _ => return Err(refuse(&path, idx + 1, format!("`{line}` is not `DATE DRIVE FRAME`"))),
            }
        }
        let order = read_text(&order_path)?;
        let of_frame = order.trim().split(',').map(|field| {
            let number = field.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let drive = number.and_then(|number| drives.get(number));
            drive.map(|drive| (*drive).to_owned()).ok_or_else(|| {
                let reason = format!("`{field}` is none of the {} lines of `{MAPPING_FILE}`", drives.len());
                refuse(&order_path, 1, reason)
            })
        });
        Ok(Some(Self { of_frame: of_frame.collect::<Result<_, _>>()?, path }))
    }

    /// The drive of a frame.
    pub(super) fn of_name(&self, name: &str) -> Option<&str> {
        let number: usize = name.parse().ok()?;
        self.of_frame.get(number).map(String::as_str)
    }

    /// Checks that it has every frame: frames without a drive beside others with one could not be drawn by drive.
    pub(super) fn check(&self, names: &[String]) -> Result<(), DatasetError> {
        match names.iter().find(|name| self.of_name(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(DatasetError::File {
                path: self.path.clone(),
                reason: format!("does not say which drive frame `{name}` is of"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn with(mapping: &str, order: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mapping_folder = folder.path().join("devkit_object/mapping");
        fs::create_dir_all(&mapping_folder).unwrap();
        fs::write(mapping_folder.join(MAPPING_FILE), mapping).unwrap();
        fs::write(mapping_folder.join(ORDER_FILE), order).unwrap();
        folder
    }

    #[test]
    fn a_frame_is_of_the_drive_that_its_number_leads_to() {
        let folder = with("d a 0000000001\nd a 0000000002\nd b 0000000001\n", "3,1, 2\n");
        let drives = Drives::of(folder.path()).unwrap().unwrap();
        let of = |name: &str| drives.of_name(name);
        assert_eq!([of("000000"), of("000001"), of("2")], [Some("b"), Some("a"), Some("a")]);
        assert_eq!([of("000003"), of("left")], [None, None]);
        assert!(drives.check(&["000000".to_owned(), "000002".to_owned()]).is_ok());
        let error = drives.check(&["000000".to_owned(), "000003".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("000003") && error.contains(MAPPING_FILE), "{error}");
    }

    #[test]
    fn a_mapping_that_leads_nowhere_is_refused() {
        assert_eq!(Drives::of(tempfile::tempdir().unwrap().path()).unwrap(), None);
        for (mapping, order, line, said) in [
            ("d a\n", "1", "line 1", "DATE DRIVE FRAME"),
            ("d a 1\nd a 1 2\n", "1", "line 2", "DATE DRIVE FRAME"),
            ("d a 1\n", "1,2", "line 1", "`2`"),
            ("d a 1\n", "0", "line 1", "`0`"),
            ("d a 1\n", "", "line 1", "``"),
        ] {
            let error = Drives::of(with(mapping, order).path()).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(said), "{mapping:?} {order:?}: {error}");
        }
    }
}
