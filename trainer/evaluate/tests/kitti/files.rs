//! Folders of labels and results: what is read, what is refused, and in which words.

use pilotis_evaluate::kitti::{KittiError, Loaded, Sources, load};
use std::fs;
use std::path::PathBuf;

const LABEL: &str = "Car 0.00 0 -1.57 100 100 200 180 1.5 1.6 4.0 1.0 1.7 20.0 -1.6";
const REGION: &str = "DontCare -1 -1 -10 503 169 590 190 -1 -1 -1 -1000 -1000 -1000 -10";

struct Folders(tempfile::TempDir);

impl Folders {
    /// Two frames, each with a label and a result.
    fn new() -> Self {
        let folders = Self(tempfile::tempdir().unwrap());
        for name in ["000001", "000002"] {
            folders.write(&format!("gt/{name}.txt"), &format!("{REGION}\n{LABEL}\n"));
            folders.write(&format!("pred/{name}.txt"), &format!("{LABEL} 0.5"));
        }
        folders
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn load(&self, split: Option<&str>, missing_as_empty: bool) -> Result<Loaded, KittiError> {
        let split = split.map(|name| self.path(name));
        load(&Sources {
            labels: &self.path("gt"),
            results: &self.path("pred"),
            split: split.as_deref(),
            missing_as_empty,
        })
    }

    fn fails_with(&self, split: Option<&str>, words: &[&str]) {
        let said = self.load(split, false).unwrap_err().to_string();
        assert!(words.iter().all(|w| said.contains(w)), "{words:?} are not all in `{said}`");
    }
}

#[test]
fn frames_are_read_by_name_and_blanks_do_not_matter() {
    let folders = Folders::new();
    folders.write("pred/000001.txt", &format!("\n{} 7.5e-1 \t\r\n\n   \n", LABEL.replace(' ', "  ")));
    folders.write("gt/readme.md", "no labels");
    let loaded = folders.load(None, false).unwrap();
    let names: Vec<&str> = loaded.frames.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["000001", "000002"]);
    let [frame, _] = loaded.frames.as_slice() else { panic!() };
    assert_eq!((frame.labels.len(), frame.detections.len()), (2, 1));
    assert_eq!(frame.detections[0].score, Some(0.75));
    assert!(frame.labels[0].is_dont_care());
}

#[test]
fn lines_that_are_wrong_are_named_by_file_and_number() {
    let broken = |file: &str, text: &str, words: &[&str]| {
        let folders = Folders::new();
        folders.write(file, text);
        folders.fails_with(None, words);
    };
    let result = format!("{LABEL} 0.5");
    broken("pred/000002.txt", &format!("{result}\n{LABEL}\n"), &["000002.txt` line 2", "15 fields", "score"]);
    broken("pred/000002.txt", &format!("\n{result} 3\n"), &["000002.txt` line 2", "17 fields"]);
    broken("pred/000001.txt", "Car 1 2", &["000001.txt` line 1", "3 fields"]);
    broken("pred/000001.txt", &result.replace("0.5", "nan"), &["line 1", "field 16, `nan`, is not finite"]);
    broken("pred/000001.txt", &result.replace("20.0", "inf"), &["field 14, `inf`, is not finite"]);
    broken("pred/000001.txt", &result.replace("20.0", "2O"), &["field 14, `2O`, is not a number"]);
    broken("gt/000001.txt", &result, &["gt/000001.txt` line 1", "16 fields", "results?"]);
    broken("gt/000001.txt", &LABEL.replace("0.00 0", "0.00 7"), &["line 1", "occlusion 7"]);
    // The first by name, whichever thread meets its own first.
    let folders = Folders::new();
    for name in ["000001", "000002"] {
        folders.write(&format!("pred/{name}.txt"), "Car");
    }
    folders.fails_with(None, &["000001.txt"]);
}

#[test]
fn a_frame_without_a_file_of_results_is_refused_unless_it_counts_as_empty() {
    let folders = Folders::new();
    fs::remove_file(folders.path("pred/000002.txt")).unwrap();
    folders.fails_with(None, &["1 of 2 frames", "pred/000002.txt", "empty"]);
    let loaded = folders.load(None, true).unwrap();
    assert_eq!((loaded.n_missing, loaded.frames[1].detections.len()), (1, 0));
    assert_eq!(loaded.frames[1].labels.len(), 2);
    // An empty file is a frame without boxes.
    folders.write("pred/000002.txt", "");
    assert_eq!(folders.load(None, false).unwrap().n_missing, 0);
}

#[test]
fn a_split_names_the_frames_and_others_are_counted() {
    let folders = Folders::new();
    folders.write("pred/000009.txt", "");
    folders.fails_with(None, &["1 files of results have no labels", "000009.txt", "split"]);
    folders.write("val.txt", "\n000002 \n");
    let loaded = folders.load(Some("val.txt"), false).unwrap();
    assert_eq!((loaded.frames.len(), loaded.n_left_out), (1, 2));
    assert_eq!(loaded.frames[0].name, "000002");
    folders.write("val.txt", "000002\n000002\n");
    folders.fails_with(Some("val.txt"), &["`000002` is named twice"]);
    folders.write("val.txt", "000002\n../secret\n");
    folders.fails_with(Some("val.txt"), &["val.txt` line 2", "../secret"]);
    folders.write("val.txt", "000009\n");
    folders.fails_with(Some("val.txt"), &["cannot read", "gt/000009.txt"]);
    folders.write("val.txt", "\n");
    folders.fails_with(Some("val.txt"), &["no frames", "val.txt"]);
    folders.fails_with(Some("nowhere.txt"), &["cannot read", "nowhere.txt"]);
}

#[test]
fn folders_without_labels_are_refused() {
    let folders = Folders::new();
    fs::remove_dir_all(folders.path("gt")).unwrap();
    folders.fails_with(None, &["cannot read", "gt"]);
    fs::create_dir(folders.path("gt")).unwrap();
    folders.fails_with(None, &["no frames", "gt"]);
}
