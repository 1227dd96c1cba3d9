//! What can be downloaded: one table, an entry a dataset.

/// A dataset that is fetched as one `.tgz`.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name on the command line.
    pub name: &'static str,
    /// Where its publisher offers it.
    pub url: &'static str,
    /// Licence, and where the terms of use are.
    pub notice: &'static str,
    /// Name of the archive on this machine.
    pub archive: &'static str,
    /// Size of the archive as far as is known; sizes are asked of the server, this one is for planning.
    pub usual_bytes: u64,
    /// No archive of this dataset is larger.
    pub max_bytes: u64,
    /// What its files take on disk, about.
    pub unpacked_bytes: u64,
    /// Files and folders of the archive are never more.
    pub max_entries: u64,
    /// SHA-256 of the archive in lower-case hex, where its publisher gives one.
    pub sha256: Option<&'static str>,
    /// Folder of the tables in the dataset.
    pub tables_folder: &'static str,
    /// Rows of each table.
    pub tables: &'static [(&'static str, Rows)],
}

/// Rows that a table must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// So many.
    Exactly(u64),
    /// So many or more: the table grows with an extension of the dataset.
    AtLeast(u64),
}

impl Rows {
    /// Whether a count fits.
    pub fn holds(self, n: u64) -> bool {
        match self {
            Self::Exactly(rows) => n == rows,
            Self::AtLeast(rows) => n >= rows,
        }
    }
}

/// nuScenes v1.0-mini: ten scenes of nuScenes.
///
/// Its publisher gives neither a digest nor a size, and archives of two sizes are about (4,167,696,325 bytes at the
/// address below, 4,168,148,189 elsewhere). So the archive is checked by the size that the server states, by gzip's
/// own checksum, and by what the tables hold.
///
/// **Source**: the counts are those that the official devkit prints on loading `v1.0-mini`.
pub static NUSCENES_MINI: Source = Source {
    name: "nuscenes-mini",
    url: "https://www.nuscenes.org/data/v1.0-mini.tgz",
    notice: "nuScenes is made by Motional and licensed under CC BY-NC-SA 4.0: not for commercial use.\n\
             Terms of use: https://www.nuscenes.org/terms-of-use",
    archive: "v1.0-mini.tgz",
    usual_bytes: 4_167_696_325,
    max_bytes: 6 << 30,
    unpacked_bytes: 5_000_000_000,
    max_entries: 100_000,
    sha256: None,
    tables_folder: "v1.0-mini",
    tables: &[
        ("attribute", Rows::Exactly(8)),
        ("calibrated_sensor", Rows::Exactly(120)),
        // The extension for segmentation adds categories.
        ("category", Rows::AtLeast(23)),
        ("ego_pose", Rows::Exactly(31_206)),
        ("instance", Rows::Exactly(911)),
        ("log", Rows::Exactly(8)),
        ("map", Rows::Exactly(4)),
        ("sample", Rows::Exactly(404)),
        ("sample_annotation", Rows::Exactly(18_538)),
        ("sample_data", Rows::Exactly(31_206)),
        ("scene", Rows::Exactly(10)),
        ("sensor", Rows::Exactly(12)),
        ("visibility", Rows::Exactly(4)),
    ],
};
