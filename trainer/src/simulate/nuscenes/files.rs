//! The files around the sweeps: rows kept by scene until all tables are put together, splits, the map's picture.

use super::super::folder::{finish, make_all, part_of, write_atomically};
use super::scene;
use super::tables::{MapRow, Row, token};
use super::vocabulary::{attribute_rows, category_rows, sensor_rows, visibility_rows};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// The folder of the tables.
pub(super) const VERSION: &str = "v1.0-sim";
/// Where the key frames lie.
pub(super) const LIDAR_SAMPLES: &str = "samples/LIDAR_TOP";
/// Where the sweeps between them lie.
pub(super) const LIDAR_SWEEPS: &str = "sweeps/LIDAR_TOP";
/// The rows of each scene that is complete.
const FRAGMENTS: &str = "v1.0-sim/scenes";
const MAPS: &str = "maps";
const FRAGMENT_EXTENSION: &str = ".rows";

/// Each fifth scene is for validation.
const VALIDATION_EVERY: u64 = 5;

/// The map's picture has this many pixels a side.
const MAP_SIZE: u32 = 16;

/// The tables that have rows of each scene.
const SCENE_TABLES: [&str; 8] = [
    "calibrated_sensor",
    "ego_pose",
    "instance",
    "log",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
];

/// Makes the folders.
pub(super) fn make_folders(out: &Path) -> Result<()> {
    make_all(out, &[FRAGMENTS, LIDAR_SAMPLES, LIDAR_SWEEPS, MAPS])
}

/// Takes away the tables, the rows of complete scenes included.
pub(super) fn remove_tables(out: &Path) -> Result<()> {
    let folder = out.join(VERSION);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    Ok(())
}

/// The rows of a scene: one a line, its table before it.
///
/// They are put into the tables as the text they are, so that no number is ever read and written again.
#[derive(Default)]
pub(super) struct Fragment(Vec<u8>);

impl Fragment {
    /// Adds a row.
    pub(super) fn add<R: Row>(&mut self, row: &R) -> Result<()> {
        write!(self.0, "{} ", R::TABLE)?;
        serde_json::to_writer(&mut self.0, row)
            .with_context(|| format!("cannot write a row of {}", R::TABLE))?;
        self.0.push(b'\n');
        Ok(())
    }

    /// Keeps the rows; from now on the scene is complete.
    pub(super) fn keep(&self, out: &Path, scene_idx: u64) -> Result<()> {
        write_atomically(&fragment_path(out, scene_idx), &self.0)
    }
}

fn fragment_path(out: &Path, scene_idx: u64) -> PathBuf {
    out.join(FRAGMENTS).join(format!("{scene_idx:04}{FRAGMENT_EXTENSION}"))
}

/// True where a scene was written to its end: its rows are its last file.
pub(super) fn is_complete(out: &Path, scene_idx: u64) -> bool {
    fragment_path(out, scene_idx).exists()
}

/// The scenes that are complete, in order.
fn complete_scenes(out: &Path) -> Result<Vec<u64>> {
    let folder = out.join(FRAGMENTS);
    let mut scenes: Vec<u64> = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(FRAGMENT_EXTENSION));
        scenes.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    scenes.sort_unstable();
    Ok(scenes)
}

/// A table on its way to the disk, row by row.
struct Table {
    path: PathBuf,
    file: BufWriter<File>,
    is_empty: bool,
}

impl Table {
    fn begin(out: &Path, name: &str) -> Result<Self> {
        let path = out.join(VERSION).join(format!("{name}.json"));
        let file =
            File::create(part_of(&path)).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path, file: BufWriter::new(file), is_empty: true })
    }

    fn add(&mut self, row: &str) -> Result<()> {
        let separator = if self.is_empty { "[\n" } else { ",\n" };
        self.is_empty = false;
        write!(self.file, "{separator}{row}").with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Ends the text; the table is still beside its place.
    fn end(mut self) -> Result<PathBuf> {
        let ending = if self.is_empty { "[]\n" } else { "\n]\n" };
        let ended = self.file.write_all(ending.as_bytes()).and_then(|()| self.file.flush());
        ended.with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.path)
    }
}

fn fixed_table<R: Row>(out: &Path, rows: &[R]) -> Result<PathBuf> {
    let mut table = Table::begin(out, R::TABLE)?;
    for row in rows {
        table.add(&serde_json::to_string(row)?)?;
    }
    table.end()
}

/// Puts all tables and the splits together from the scenes that are complete.
///
/// Every table is written to its end before the first takes its place.
pub(super) fn write_tables(out: &Path, seed: u64) -> Result<()> {
    let scenes = complete_scenes(out)?;
    let map = map_row(seed, &scenes);
    write_atomically(&out.join(&map.filename), &map_picture()?)?;
    let mut paths = vec![
        fixed_table(out, &attribute_rows(seed))?,
        fixed_table(out, &category_rows(seed))?,
        fixed_table(out, &[map])?,
        fixed_table(out, &sensor_rows(seed))?,
        fixed_table(out, &visibility_rows())?,
    ];
    paths.extend(join_fragments(out, &scenes)?);
    for path in &paths {
        finish(path)?;
    }
    let splits = serde_json::to_string_pretty(&splits(&scenes))?;
    write_atomically(&out.join(VERSION).join("splits.json"), splits.as_bytes())
}

/// The tables that have rows of each scene, beside their places.
fn join_fragments(out: &Path, scenes: &[u64]) -> Result<Vec<PathBuf>> {
    let mut tables = BTreeMap::new();
    for name in SCENE_TABLES {
        tables.insert(name, Table::begin(out, name)?);
    }
    for scene_idx in scenes {
        let path = fragment_path(out, *scene_idx);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("cannot read {}", path.display()))?;
            let parts = line.split_once(' ');
            let Some((table, row)) = parts.and_then(|(name, row)| Some((tables.get_mut(name)?, row))) else {
                bail!("{} holds a line that is no row of a table: remove it and --resume", path.display());
            };
            table.add(row)?;
        }
    }
    tables.into_values().map(Table::end).collect()
}

/// The scenes of each split, by name.
///
/// The devkit reads a split from here only where it knows none of that name itself, so that it needs `sim_train`
/// and `sim_val`; `train` and `val` are the same scenes for everybody else.
fn splits(scenes: &[u64]) -> BTreeMap<&'static str, Vec<String>> {
    let validates = |idx: u64| idx % VALIDATION_EVERY == VALIDATION_EVERY - 1;
    let (val, train): (Vec<u64>, Vec<u64>) = scenes.iter().partition(|idx| validates(**idx));
    let names = |scenes: &[u64]| -> Vec<String> { scenes.iter().map(|idx| scene::name(*idx)).collect() };
    BTreeMap::from([
        ("train", names(&train)),
        ("val", names(&val)),
        ("sim_train", names(&train)),
        ("sim_val", names(&val)),
    ])
}

fn map_row(seed: u64, scenes: &[u64]) -> MapRow {
    let token = token(seed, "map", &[]);
    MapRow {
        filename: format!("{MAPS}/{token}.png"),
        token,
        category: "semantic_prior".to_owned(),
        log_tokens: scenes.iter().map(|idx| scene::log_token(seed, *idx)).collect(),
    }
}

/// A white picture: the format wants a map, and there is nothing to draw on it.
fn map_picture() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, MAP_SIZE, MAP_SIZE);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&[255; (MAP_SIZE * MAP_SIZE) as usize])?;
    writer.finish()?;
    Ok(bytes)
}
