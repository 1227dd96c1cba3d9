//! Splits: lists of scenes by name.
//!
//! **Source**: nuscenes-devkit 1.2.0, `nuscenes/utils/splits.py`.

use super::Tables;
use super::error::TablesError;
use super::schema::{Sample, Scene};
use super::table::Id;
use std::collections::{BTreeMap, BTreeSet};

/// Scenes `scene-0001` and so on, as ranges of numbers, both ends within.
type Ranges = &'static [(u16, u16)];

#[rustfmt::skip]
const TRAIN_DETECT: Ranges = &[
    (1, 2), (41, 76), (161, 168), (170, 176), (190, 196), (199, 200), (202, 204), (206, 214), (254, 264), (283, 306),
    (315, 318), (321, 321), (323, 324), (347, 375), (382, 382), (420, 439), (457, 459), (461, 465), (467, 469),
    (471, 472), (474, 480), (566, 566), (568, 568), (570, 578), (580, 580), (582, 583), (665, 679), (681, 681),
    (683, 689), (739, 741), (744, 744), (746, 747), (749, 752), (757, 765), (767, 769), (868, 873), (875, 878),
    (880, 880), (882, 903), (945, 945), (947, 947), (949, 949), (952, 953), (955, 961), (975, 984), (988, 991),
    (1011, 1025), (1074, 1102), (1104, 1105),
];

#[rustfmt::skip]
const TRAIN_TRACK: Ranges = &[
    (4, 11), (19, 34), (120, 135), (138, 139), (149, 152), (154, 155), (157, 160), (177, 185), (187, 188), (218, 220),
    (222, 222), (224, 253), (328, 328), (376, 381), (383, 386), (388, 403), (405, 408), (410, 419), (440, 456),
    (499, 502), (504, 515), (517, 518), (525, 539), (541, 546), (584, 600), (639, 664), (695, 698), (700, 701),
    (703, 719), (726, 728), (730, 731), (733, 738), (786, 787), (789, 792), (803, 806), (808, 813), (815, 817),
    (819, 822), (847, 856), (858, 858), (860, 866), (992, 992), (994, 1010), (1044, 1058), (1106, 1110),
];

#[rustfmt::skip]
const VAL: Ranges = &[
    (3, 3), (12, 18), (35, 36), (38, 39), (92, 110), (221, 221), (268, 278), (329, 332), (344, 346), (519, 524),
    (552, 565), (625, 627), (629, 630), (632, 638), (770, 771), (775, 775), (777, 778), (780, 784), (794, 800),
    (802, 802), (904, 917), (919, 931), (962, 963), (966, 969), (971, 972), (1059, 1073),
];

#[rustfmt::skip]
const TEST: Ranges = &[
    (77, 91), (111, 119), (140, 140), (142, 148), (265, 266), (279, 282), (307, 314), (333, 343), (481, 498),
    (547, 551), (601, 604), (606, 624), (827, 831), (833, 842), (844, 846), (932, 933), (935, 943), (1026, 1043),
];

#[rustfmt::skip]
const MINI_TRAIN: Ranges = &[
    (61, 61), (553, 553), (655, 655), (757, 757), (796, 796), (1077, 1077), (1094, 1094), (1100, 1100),
];

const MINI_VAL: Ranges = &[(103, 103), (916, 916)];

/// The splits that every version knows.
pub const BUILT_IN_SPLITS: [&str; 7] =
    ["train", "val", "test", "mini_train", "mini_val", "train_detect", "train_track"];

/// Names of the scenes of a built-in split, sorted.
pub fn built_in_split(name: &str) -> Option<Vec<String>> {
    let parts: &[Ranges] = match name {
        "train" => &[TRAIN_DETECT, TRAIN_TRACK],
        "val" => &[VAL],
        "test" => &[TEST],
        "mini_train" => &[MINI_TRAIN],
        "mini_val" => &[MINI_VAL],
        "train_detect" => &[TRAIN_DETECT],
        "train_track" => &[TRAIN_TRACK],
        _ => return None,
    };
    let ranges = parts.iter().flat_map(|ranges| ranges.iter());
    let mut numbers: Vec<u16> = ranges.flat_map(|(first, last)| *first..=*last).collect();
    numbers.sort_unstable();
    Some(numbers.into_iter().map(|number| format!("scene-{number:04}")).collect())
}

/// The file of custom splits, in the folder of tables.
pub const SPLITS_FILE: &str = "splits.json";

impl Tables {
    /// Names of the scenes of a split: a built-in one, or one of [`SPLITS_FILE`].
    ///
    /// In the version that a built-in split is of, it is the official one. In any other, that the devkit refuses to
    /// evaluate it for, the file may have one of the same name: simulated drives have a `train` of their own.
    ///
    /// A name may be of a scene that these tables do not have.
    ///
    /// **Errors**: no such file or no such split in it, or one that is no list of names.
    pub fn scene_names_of_split(&self, split: &str) -> Result<Vec<String>, TablesError> {
        match built_in_split(split) {
            Some(names) if self.is_of_version_of(split) => Ok(names),
            Some(names) if !self.folder().join(SPLITS_FILE).is_file() => Ok(names),
            Some(names) => Ok(self.custom_split(split)?.unwrap_or(names)),
            None => self.custom_split(split)?.ok_or_else(|| self.unknown_split(split)),
        }
    }

    /// Whether a built-in split is of the version of these tables.
    fn is_of_version_of(&self, split: &str) -> bool {
        let version = self.folder().file_name().unwrap_or_default().to_string_lossy();
        version.ends_with(match split {
            "test" => "test",
            "mini_train" | "mini_val" => "mini",
            _ => "trainval",
        })
    }

    /// The error of a split that neither is built in nor in a file that is there.
    fn unknown_split(&self, split: &str) -> TablesError {
        let path = self.folder().join(SPLITS_FILE);
        let known = self.read_splits(split).unwrap_or_default();
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        let reason = format!("it has: {}", known.join(", "));
        TablesError::Split { path, split: split.to_owned(), reason }
    }

    /// A split of the file; none where it has no such split.
    fn custom_split(&self, split: &str) -> Result<Option<Vec<String>>, TablesError> {
        let Some(listed) = self.read_splits(split)?.remove(split) else { return Ok(None) };
        let names = listed.as_array().and_then(|names| {
            names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        names.map(Some).ok_or_else(|| TablesError::Split {
            path: self.folder().join(SPLITS_FILE),
            split: split.to_owned(),
            reason: "it is no list of names of scenes".to_owned(),
        })
    }

    fn read_splits(&self, split: &str) -> Result<BTreeMap<String, serde_json::Value>, TablesError> {
        let path = self.folder().join(SPLITS_FILE);
        let wrong =
            |reason: String| TablesError::Split { path: path.clone(), split: split.to_owned(), reason };
        if !path.is_file() {
            let built_in = BUILT_IN_SPLITS.join(", ");
            return Err(wrong(format!("there is no such file; built in are: {built_in}")));
        }
        let text = std::fs::read(&path).map_err(|source| TablesError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))
    }

    /// Scenes of a split that these tables have, in the order of their table; all of them without a split.
    ///
    /// **Errors**: those of [`Self::scene_names_of_split`].
    pub fn scenes_of_split(&self, split: Option<&str>) -> Result<Vec<Id<Scene>>, TablesError> {
        let names: Option<BTreeSet<String>> =
            split.map(|split| self.scene_names_of_split(split)).transpose()?.map(|n| n.into_iter().collect());
        let is_listed = |scene: &Scene| names.as_ref().is_none_or(|names| names.contains(&scene.name));
        Ok(self.scenes.iter().filter(|(_, scene)| is_listed(scene)).map(|(id, _)| id).collect())
    }

    /// Samples of a split, scene by scene and by time; all of them without a split.
    ///
    /// **Errors**: those of [`Self::scene_names_of_split`]; a split of which these tables have no sample, with those
    /// built-in ones of which they have some.
    pub fn samples_of_split(&self, split: Option<&str>) -> Result<Vec<Id<Sample>>, TablesError> {
        let scenes = self.scenes_of_split(split)?;
        let samples: Vec<Id<Sample>> =
            scenes.iter().flat_map(|scene| self.samples_of(*scene)).copied().collect();
        if let (Some(split), true) = (split, samples.is_empty()) {
            let reason = format!("no sample of it is in these tables; {}", self.splits_in_words());
            let path = self.folder().to_owned();
            return Err(TablesError::Split { path, split: split.to_owned(), reason });
        }
        Ok(samples)
    }

    fn splits_in_words(&self) -> String {
        let has_samples = |split: &&str| {
            let names: BTreeSet<String> = built_in_split(split).unwrap_or_default().into_iter().collect();
            self.scenes.iter().any(|(id, s)| names.contains(&s.name) && !self.samples_of(id).is_empty())
        };
        let known: Vec<&str> = BUILT_IN_SPLITS.into_iter().filter(has_samples).collect();
        match known.as_slice() {
            [] => "nor of any built-in split".to_owned(),
            known => format!("of these there are some: {}", known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nuscenes::Sensors;
    use crate::nuscenes::fixture::Fixture;
    use sha2::{Digest, Sha256};

    #[test]
    fn built_in_splits_share_a_thousand_scenes() {
        let sizes: Vec<usize> = BUILT_IN_SPLITS.iter().map(|s| built_in_split(s).unwrap().len()).collect();
        assert_eq!(sizes, [700, 150, 150, 8, 2, 350, 350]);
        let all: BTreeSet<String> =
            ["train", "val", "test"].into_iter().flat_map(|s| built_in_split(s).unwrap()).collect();
        assert_eq!(all.len(), 1000);
        let halves: BTreeSet<String> =
            ["train_detect", "train_track"].into_iter().flat_map(|s| built_in_split(s).unwrap()).collect();
        assert_eq!(halves, built_in_split("train").unwrap().into_iter().collect());
        assert_eq!(built_in_split("mini_val").unwrap(), ["scene-0103", "scene-0916"]);
        // The small version has scenes of both others, whatever its splits are called.
        assert!(
            ["mini_train", "mini_val"]
                .iter()
                .all(|s| built_in_split(s).unwrap().iter().all(|n| all.contains(n)))
        );
        assert!(built_in_split("ours").is_none());
    }

    #[test]
    fn custom_splits_name_scenes_and_official_names_win_in_official_versions() {
        let fixture = Fixture::new();
        let tables = Tables::read(fixture.root(), "v1.0-test", Sensors::Lidar).unwrap();
        let said = |split: &str| tables.samples_of_split(Some(split)).unwrap_err().to_string();
        assert!(
            said("ours").contains("splits.json") && said("ours").contains("mini_val"),
            "{}",
            said("ours")
        );
        fixture.write(
            "v1.0-test/splits.json",
            r#"{"ours":["two","nowhere"],"none":[],"val":["two"],"test":["two"],"odd":[1],"word":"two"}"#,
        );
        let tokens = |split| -> Vec<String> {
            let samples = tables.samples_of_split(split).unwrap();
            samples.iter().map(|id| tables.samples[*id].token.to_string()).collect()
        };
        assert_eq!(tokens(Some("ours")), ["s3"]);
        assert_eq!(tokens(None), ["s1", "s2", "s3"]);
        assert!(said("none").contains("no sample of it"), "{}", said("none"));
        // The tables are of `v1.0-test`: `test` is the official split, `val` may be another than the official one.
        assert!(said("test").contains("nor of any built-in split"), "{}", said("test"));
        assert_eq!(tokens(Some("val")), ["s3"]);
        assert!(said("train").contains("nor of any built-in split"), "{}", said("train"));
        assert!(said("other").contains("it has: none, odd, ours, test, val, word"), "{}", said("other"));
        assert!(said("odd").contains("no list of names") && said("word").contains("no list of names"));
        fixture.set("scene", "c1", "name", "scene-0103");
        let tables = Tables::read(fixture.root(), "v1.0-test", Sensors::Lidar).unwrap();
        assert_eq!(tables.samples_of_split(Some("mini_val")).unwrap().len(), 2);
        let said = tables.samples_of_split(Some("mini_train")).unwrap_err().to_string();
        assert!(said.contains("there are some: val, mini_val"), "{said}");
    }

    #[test]
    fn built_in_splits_are_the_devkits_scene_by_scene() {
        // SHA-256 of the sorted names of `create_splits_scenes` of nuscenes-devkit 1.2.0, a line each.
        for (split, expected) in [
            ("train", "182d90e54953d7b0"),
            ("val", "9c6d87239035bbd3"),
            ("test", "9e0f5aba17a92e17"),
            ("mini_train", "c849f160715c4c6f"),
            ("mini_val", "12657200a28a6a68"),
            ("train_detect", "8319ca8c0c184969"),
            ("train_track", "56cf0a1f6965c360"),
        ] {
            let digest = Sha256::digest(built_in_split(split).unwrap().join("\n"));
            let digits: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digits, expected, "{split}");
        }
    }

    #[test]
    fn a_built_in_split_is_official_in_its_own_version_only() {
        for (version, own) in [
            ("v1.0-test", &["test"][..]),
            ("v1.0-mini", &["mini_train", "mini_val"]),
            ("v1.0-trainval", &["train", "val", "train_detect", "train_track"]),
            ("v1.0-sim", &[]),
        ] {
            let fixture = Fixture::new();
            let folder = fixture.root().join(version);
            if version != "v1.0-test" {
                std::fs::rename(fixture.root().join("v1.0-test"), &folder).unwrap();
            }
            let ours: BTreeMap<&str, [&str; 1]> = BUILT_IN_SPLITS.map(|split| (split, ["two"])).into();
            std::fs::write(folder.join(SPLITS_FILE), serde_json::to_vec(&ours).unwrap()).unwrap();
            let tables = Tables::read_folder(&folder, Sensors::Lidar).unwrap();
            for split in BUILT_IN_SPLITS {
                let names = tables.scene_names_of_split(split).unwrap();
                assert_eq!(names != ["two"], own.contains(&split), "{split} of {version}");
            }
        }
    }
}
