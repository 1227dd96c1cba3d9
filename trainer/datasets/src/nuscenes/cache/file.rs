//! The binary file: a header, its digest, and sections of rows.

use super::codec::{Bytes, Stored, records};
use super::source::{Source, Sources, Stamp, Verdict};
use crate::nuscenes::schema::{Annotation, Attribute};
use crate::nuscenes::table::{Groups, Id, N_TABLES, Row, Table};
use crate::nuscenes::{Rows, Sensors};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// What such a file begins with; the last byte is the version of the layout.
const MAGIC: [u8; 16] = *b"PILOTIS-NUSCEN\0\x01";
const DIGEST_BYTES: usize = 32;
/// Rows of a section: enough sections for several threads, enough rows for each.
const ROWS_A_SECTION: usize = 1 << 15;

/// Rows of a binary file that is to be believed.
pub(super) struct Found {
    pub(super) rows: Rows,
    /// What the file should say of the tables instead of what it says.
    pub(super) renewed: Option<Box<Sources>>,
}

struct Header {
    keeps_all: bool,
    opened_ns: i64,
    sources: Vec<Source>,
    n_rows: Vec<u32>,
    sections: Vec<Section>,
}

struct Section {
    n_bytes: u64,
    n_values: u32,
    digest: [u8; DIGEST_BYTES],
}

records! {
    Stamp { n_bytes, modified_ns, changed_ns }
    Source { stamp, digest }
    Header { keeps_all, opened_ns, sources, n_rows, sections }
    Section { n_bytes, n_values, digest }
}

/// Gives the sections of a file one after the other.
struct Sections<'a> {
    bytes: &'a [u8],
    sections: std::slice::Iter<'a, Section>,
    n_rows: &'a [u32; N_TABLES],
}

impl<'a> Sections<'a> {
    /// So many values, from the sections that hold them.
    fn values<T: Stored + Send>(&mut self, n_values: usize) -> Option<Vec<T>> {
        let mut parts: Vec<(&'a Section, &'a [u8])> = Vec::new();
        for _ in 0..n_values.div_ceil(ROWS_A_SECTION) {
            let section = self.sections.next()?;
            let (bytes, rest) = self.bytes.split_at_checked(usize::try_from(section.n_bytes).ok()?)?;
            self.bytes = rest;
            parts.push((section, bytes));
        }
        let n_rows = self.n_rows;
        let parts: Vec<Option<Vec<T>>> =
            parts.par_iter().map(|(section, bytes)| section.values(bytes, n_rows)).collect();
        let mut parts = parts.into_iter();
        let mut values = parts.next().unwrap_or_else(|| Some(Vec::new()))?;
        values.reserve_exact(n_values.saturating_sub(values.len()));
        for part in parts {
            values.append(&mut part?);
        }
        (values.len() == n_values).then_some(values)
    }

    fn table<T: Row + Stored>(&mut self) -> Option<Table<T>> {
        let n_rows = self.n_rows[T::NUMBER] as usize;
        Table::with_order(self.values(n_rows)?, self.values(n_rows)?)
    }

    fn attributes_of(&mut self, n_annotations: usize) -> Option<Groups<Annotation, Attribute>> {
        let starts: Vec<u32> = self.values(n_annotations + 1)?;
        let n_members = *starts.last()? as usize;
        Groups::from_parts(starts, self.values::<Id<Attribute>>(n_members)?)
    }
}

impl Section {
    /// Its values, if its bytes are what they were.
    fn values<T: Stored>(&self, bytes: &[u8], n_rows: &[u32; N_TABLES]) -> Option<Vec<T>> {
        let is_intact = Sha256::digest(bytes)[..] == self.digest;
        if !is_intact || self.n_values as usize > ROWS_A_SECTION {
            return None;
        }
        let mut bytes = Bytes { rest: bytes, n_rows };
        let values = (0..self.n_values).map(|_| T::load(&mut bytes)).collect::<Option<Vec<T>>>()?;
        bytes.rest.is_empty().then_some(values)
    }
}

/// The rows of a binary file, if there is one and it is of the tables in `folder`.
///
/// **Errors**: why a file that is there is not believed.
pub(super) fn read(path: &Path, folder: &Path, sensors: Sensors) -> Result<Option<Found>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let broken = || "it is not what was written".to_owned();
    let (header, sections) = split(&bytes).ok_or_else(broken)?;
    let tables: [Source; N_TABLES] = header.sources.try_into().map_err(|_| broken())?;
    let n_rows: [u32; N_TABLES] = header.n_rows.try_into().map_err(|_| broken())?;
    if header.keeps_all != (sensors == Sensors::All) {
        return Err("it is of other sensors".to_owned());
    }
    let sources = Sources { opened_ns: header.opened_ns, tables };
    let renewed = match sources.compare(folder) {
        Ok(Verdict::Same(renewed)) => renewed,
        Ok(Verdict::Differs(table)) => return Err(format!("`{table}.json` is not what it was")),
        Err(error) => return Err(error.to_string()),
    };
    let mut sections = Sections { bytes: sections, sections: header.sections.iter(), n_rows: &n_rows };
    let rows = rows(&mut sections).ok_or_else(broken)?;
    if !sections.bytes.is_empty() || sections.sections.next().is_some() {
        return Err(broken());
    }
    Ok(Some(Found { rows, renewed }))
}

/// The header, if it is what was written, and what follows it.
fn split(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let bytes = bytes.strip_prefix(&MAGIC)?;
    let (n_header, bytes) = bytes.split_first_chunk::<8>()?;
    let (header, bytes) = bytes.split_at_checked(usize::try_from(u64::from_le_bytes(*n_header)).ok()?)?;
    let (digest, sections) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
    if Sha256::digest(header)[..] != digest[..] {
        return None;
    }
    let mut header = Bytes { rest: header, n_rows: &[0; N_TABLES] };
    let found = Header::load(&mut header)?;
    header.rest.is_empty().then_some((found, sections))
}

fn rows(sections: &mut Sections<'_>) -> Option<Rows> {
    let n_annotations = sections.n_rows[Annotation::NUMBER] as usize;
    // In the order in which they are written.
    Some(Rows {
        categories: sections.table()?,
        attributes: sections.table()?,
        visibilities: sections.table()?,
        sensors: sections.table()?,
        calibrated_sensors: sections.table()?,
        ego_poses: sections.table()?,
        logs: sections.table()?,
        scenes: sections.table()?,
        samples: sections.table()?,
        sample_data: sections.table()?,
        instances: sections.table()?,
        annotations: sections.table()?,
        maps: sections.table()?,
        attributes_of: sections.attributes_of(n_annotations)?,
    })
}

/// Sections on their way into a file.
#[derive(Default)]
struct Writer {
    n_rows: [u32; N_TABLES],
    sections: Vec<Section>,
    bytes: Vec<Vec<u8>>,
}

impl Writer {
    fn values<T: Stored + Sync>(&mut self, values: &[T]) {
        let written: Vec<(Section, Vec<u8>)> = values
            .par_chunks(ROWS_A_SECTION)
            .map(|values| {
                let mut bytes = Vec::new();
                values.iter().for_each(|value| value.store(&mut bytes));
                let digest = Sha256::digest(&bytes).into();
                let section = Section { n_bytes: bytes.len() as u64, n_values: values.len() as u32, digest };
                (section, bytes)
            })
            .collect();
        for (section, bytes) in written {
            self.sections.push(section);
            self.bytes.push(bytes);
        }
    }

    fn table<T: Row + Stored>(&mut self, table: &Table<T>) {
        self.n_rows[T::NUMBER] = table.n_rows() as u32;
        self.values(table.rows());
        self.values(table.by_token());
    }
}

/// Writes rows and what they were read from; the file is there whole or not at all.
///
/// **Errors**: what the system says.
pub(super) fn write(path: &Path, rows: &Rows, sources: &Sources, sensors: Sensors) -> io::Result<()> {
    let mut writer = Writer::default();
    writer.table(&rows.categories);
    writer.table(&rows.attributes);
    writer.table(&rows.visibilities);
    writer.table(&rows.sensors);
    writer.table(&rows.calibrated_sensors);
    writer.table(&rows.ego_poses);
    writer.table(&rows.logs);
    writer.table(&rows.scenes);
    writer.table(&rows.samples);
    writer.table(&rows.sample_data);
    writer.table(&rows.instances);
    writer.table(&rows.annotations);
    writer.table(&rows.maps);
    let (starts, members) = rows.attributes_of.parts();
    writer.values(starts);
    writer.values(members);
    let header = Header {
        keeps_all: sensors == Sensors::All,
        opened_ns: sources.opened_ns,
        sources: sources.tables.to_vec(),
        n_rows: writer.n_rows.to_vec(),
        sections: writer.sections,
    };
    let mut bytes = Vec::new();
    header.store(&mut bytes);
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&MAGIC)?;
    file.write_all(&(bytes.len() as u64).to_le_bytes())?;
    file.write_all(&bytes)?;
    file.write_all(&Sha256::digest(&bytes))?;
    for section in &writer.bytes {
        file.write_all(section)?;
    }
    // Others who read the tables may read this too.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
