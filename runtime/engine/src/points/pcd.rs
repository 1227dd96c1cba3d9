//! PCD files: binary records stay in the mapped file, text and compressed columns are decoded.

use super::pcd_header::{MAX_HEADER_BYTES, PcdEncoding, PcdField, PcdHeader};
use super::view::array;
use super::{CloudError, CloudFormat, Column, Columns, Contents, Data, Failure, lzf};
use crate::device::mapped::MappedFile;
use pilotis_spec::ScalarType;
use std::fs::File;
use std::io::Read;

/// The most bytes of text or of decompressed columns that are held in memory: more than any
/// sensor's frame, less than would trouble the machine.
const MAX_OWNED_BYTES: usize = 1 << 30;

/// What a PCD file holds.
///
/// **Errors**: header, fields or data that cannot be read, with their line or byte.
pub(super) fn open(mut file: File) -> Result<Contents, Failure> {
    let n_file_bytes = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut head = Vec::new();
    file.by_ref().take(MAX_HEADER_BYTES as u64).read_to_end(&mut head)?;
    let header = PcdHeader::parse(&head)?;
    let chosen = Chosen::of(&header)?;
    let n_body_bytes = n_file_bytes.saturating_sub(header.n_header_bytes);
    match header.encoding {
        PcdEncoding::Binary => binary(file, &header, &chosen, n_body_bytes),
        encoding => {
            let body = read_body(file, &header, &head, n_body_bytes)?;
            match encoding {
                PcdEncoding::Ascii => Ok(ascii(&body, &header, &chosen)?),
                _ => Ok(compressed(&body, &header, &chosen)?),
            }
        }
    }
}

/// The fields that become a point.
struct Chosen<'a> {
    x: &'a PcdField,
    y: &'a PcdField,
    z: &'a PcdField,
    intensity: Option<&'a PcdField>,
    time_lag: Option<&'a PcdField>,
}

impl<'a> Chosen<'a> {
    fn of(header: &'a PcdHeader) -> Result<Self, CloudError> {
        let line = header.fields_line;
        let find = |name: &str| -> Result<Option<&'a PcdField>, CloudError> {
            let mut found = header.fields.iter().filter(|f| f.name == name);
            let Some(field) = found.next() else { return Ok(None) };
            if found.next().is_some() {
                return Err(CloudError::line(line, format!("field `{name}` stands twice")));
            }
            if field.n_values != 1 {
                let n = field.n_values;
                return Err(CloudError::line(
                    line,
                    format!("field `{name}` has {n} values a point; one is needed"),
                ));
            }
            if field.scalar().is_none() {
                return Err(CloudError::line(
                    line,
                    format!(
                        "field `{name}` is of type {} with {} bytes: use F 4, F 8, or U or I with 1, 2 or 4",
                        field.kind, field.n_bytes
                    ),
                ));
            }
            Ok(Some(field))
        };
        let needed = |name: &str| {
            find(name)?.ok_or_else(|| {
                CloudError::line(line, format!("there is no field `{name}`: a cloud needs x, y and z"))
            })
        };
        let first_of = |names: &[&str]| -> Result<Option<&'a PcdField>, CloudError> {
            for name in names {
                if let Some(field) = find(name)? {
                    return Ok(Some(field));
                }
            }
            Ok(None)
        };
        Ok(Self {
            x: needed("x")?,
            y: needed("y")?,
            z: needed("z")?,
            intensity: first_of(&["intensity", "i", "reflectivity"])?,
            time_lag: first_of(&["time_lag", "dt"])?,
        })
    }

    /// The fields in the order of a point.
    fn all(&self) -> impl Iterator<Item = &'a PcdField> {
        [Some(self.x), Some(self.y), Some(self.z), self.intensity, self.time_lag].into_iter().flatten()
    }

    /// The columns at which `column` says the fields are.
    fn columns(&self, column: impl Fn(&PcdField) -> Column) -> Columns {
        Columns {
            x: column(self.x),
            y: column(self.y),
            z: column(self.z),
            intensity: self.intensity.map(&column),
            time_lag: self.time_lag.map(&column),
        }
    }
}

/// The column of a field; `Chosen` has made sure that its type is one that is read.
fn column_of(field: &PcdField, offset_bytes: usize, stride_bytes: usize) -> Column {
    Column { scalar: field.scalar().unwrap_or(ScalarType::F32), offset_bytes, stride_bytes }
}

fn binary(
    file: File,
    header: &PcdHeader,
    chosen: &Chosen<'_>,
    n_body_bytes: usize,
) -> Result<Contents, Failure> {
    let stride_bytes = header.stride_bytes;
    let n_needed = header.n_points.checked_mul(stride_bytes);
    if n_needed.is_none_or(|n| n > n_body_bytes) {
        return Err(Failure::Cloud(too_few_bytes(header, n_body_bytes)));
    }
    warn_of_rest(n_body_bytes - n_needed.unwrap_or_default());
    let columns = chosen.columns(|field| column_of(field, field.offset_bytes, stride_bytes));
    let data = Data::Mapped { file: MappedFile::new(file)?, start: header.n_header_bytes, stride_bytes };
    let n_points = header.n_points;
    Ok(Contents { format: CloudFormat::PcdBinary, n_points, columns, data }.checked()?)
}

/// The bytes after the header, of a file that is short enough to be held.
fn read_body(
    mut file: File,
    header: &PcdHeader,
    head: &[u8],
    n_body_bytes: usize,
) -> Result<Vec<u8>, Failure> {
    if n_body_bytes > MAX_OWNED_BYTES {
        return Err(Failure::Cloud(CloudError::byte(
            header.n_header_bytes,
            format!("{n_body_bytes} bytes of data exceed {MAX_OWNED_BYTES}: convert the file to DATA binary"),
        )));
    }
    let mut body = Vec::new();
    body.try_reserve_exact(n_body_bytes)
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
    body.extend_from_slice(head.get(header.n_header_bytes..).unwrap_or_default());
    let n_rest = n_body_bytes.saturating_sub(body.len());
    // A file that grows meanwhile is read up to the length it had.
    file.by_ref().take(n_rest as u64).read_to_end(&mut body)?;
    Ok(body)
}

fn compressed(body: &[u8], header: &PcdHeader, chosen: &Chosen<'_>) -> Result<Contents, CloudError> {
    let start = header.n_header_bytes;
    let n_points = header.n_points;
    let size = |at| array::<4>(body, at).map(|b| u32::from_le_bytes(b) as usize);
    let bytes = match (n_points, size(0), size(4)) {
        // The Point Cloud Library writes nothing at all for no points.
        (0, ..) => Vec::new(),
        (_, Some(n_in), Some(n_out)) => {
            let input = body.get(8..).and_then(|b| b.get(..n_in)).ok_or_else(|| {
                let n = body.len() - 8;
                CloudError::byte(
                    start,
                    format!("{n_in} compressed bytes are named, {n} follow: the file is truncated"),
                )
            })?;
            if header.n_points.checked_mul(header.stride_bytes) != Some(n_out) {
                let stride = header.stride_bytes;
                let problem = format!(
                    "{n_points} points of {stride} bytes are not {n_out} bytes: write the file again"
                );
                return Err(CloudError::byte(start + 4, problem));
            }
            if n_out > n_in.saturating_mul(lzf::MAX_RATIO) || n_out > MAX_OWNED_BYTES {
                let problem = format!(
                    "{n_in} compressed bytes cannot become {n_out}, or these exceed {MAX_OWNED_BYTES}"
                );
                return Err(CloudError::byte(start + 4, problem));
            }
            warn_of_rest(body.len() - 8 - n_in);
            lzf::decompress(input, n_out).map_err(|e| CloudError::byte(start + 8, e.to_string()))?
        }
        _ => {
            return Err(CloudError::byte(
                start,
                "the two sizes of the compressed data are missing: truncated",
            ));
        }
    };
    // Every field is a block of its own, as long as all points need.
    let columns = chosen.columns(|field| {
        let offset_bytes = n_points.saturating_mul(field.offset_bytes);
        column_of(field, offset_bytes, field.n_bytes * field.n_values)
    });
    Contents { format: CloudFormat::PcdBinaryCompressed, n_points, columns, data: Data::Owned(bytes) }
        .checked()
}

fn ascii(body: &[u8], header: &PcdHeader, chosen: &Chosen<'_>) -> Result<Contents, CloudError> {
    // Every value has a character and a separator, so this many bytes are the least.
    let n_least = header.n_points.checked_mul(header.n_values).and_then(|n| n.checked_mul(2));
    if n_least.is_none_or(|n| n > body.len() + 1) {
        return Err(too_few_bytes(header, body.len()));
    }
    let fields: Vec<&PcdField> = chosen.all().collect();
    let mut bytes = Vec::new();
    let mut n_points = 0;
    let mut words: Vec<&[u8]> = Vec::new();
    for (i, line) in body.split(|b| *b == b'\n').enumerate() {
        let number = header.n_lines + 1 + i;
        words.clear();
        words.extend(line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()));
        if words.is_empty() {
            continue;
        }
        if n_points == header.n_points {
            warn_of_rest(line.len());
            break;
        }
        if words.len() != header.n_values {
            let problem = format!("{} values, not the {} of a point", words.len(), header.n_values);
            return Err(CloudError::line(number, problem));
        }
        for field in &fields {
            let word = words.get(field.offset_values).copied().unwrap_or_default();
            let value = value_of(field, word).ok_or_else(|| {
                let shown: String = String::from_utf8_lossy(word).chars().take(32).collect();
                CloudError::line(number, format!("`{shown}` is no value of field `{}`", field.name))
            })?;
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        n_points += 1;
    }
    if n_points != header.n_points {
        let problem = format!(
            "the header names {} points, {n_points} lines follow: the file is truncated",
            header.n_points
        );
        return Err(CloudError::line(header.points_line, problem));
    }
    let stride_bytes = fields.len() * 4;
    let mut next = 0;
    let mut column = || {
        let offset_bytes = next;
        next += 4;
        Column { scalar: ScalarType::F32, offset_bytes, stride_bytes }
    };
    let columns = Columns {
        x: column(),
        y: column(),
        z: column(),
        intensity: chosen.intensity.map(|_| column()),
        time_lag: chosen.time_lag.map(|_| column()),
    };
    Contents { format: CloudFormat::PcdAscii, n_points, columns, data: Data::Owned(bytes) }.checked()
}

/// A written value, as the same value in binary would be read; `None` where it is none.
fn value_of(field: &PcdField, word: &[u8]) -> Option<f32> {
    let word = std::str::from_utf8(word).ok()?;
    match field.scalar()? {
        ScalarType::F32 => word.parse().ok(),
        ScalarType::F64 => word.parse::<f64>().ok().map(|v| v as f32),
        ScalarType::U8 => word.parse::<u8>().ok().map(f32::from),
        ScalarType::U16 => word.parse::<u16>().ok().map(f32::from),
        ScalarType::U32 => word.parse::<u32>().ok().map(|v| v as f32),
        ScalarType::I8 => word.parse::<i8>().ok().map(f32::from),
        ScalarType::I16 => word.parse::<i16>().ok().map(f32::from),
        ScalarType::I32 => word.parse::<i32>().ok().map(|v| v as f32),
        ScalarType::F16 => None,
    }
}

fn too_few_bytes(header: &PcdHeader, n_body_bytes: usize) -> CloudError {
    CloudError::line(
        header.points_line,
        format!(
            "{} points do not fit the {n_body_bytes} bytes after the header: the file is truncated",
            header.n_points
        ),
    )
}

fn warn_of_rest(n_bytes: usize) {
    if n_bytes > 0 {
        tracing::warn!(n_bytes, "a PCD file goes on after its last point; the rest is not read");
    }
}

#[cfg(test)]
#[path = "pcd_tests.rs"]
mod tests;
