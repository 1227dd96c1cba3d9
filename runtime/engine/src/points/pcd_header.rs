//! The header of a PCD file: fields, number of points, encoding. Nothing in it is believed
//! before it was compared with the length of the file.
//!
//! **Source**: The PCD (Point Cloud Data) file format, Point Cloud Library documentation.

use super::CloudError;
use super::view::MAX_STRIDE_BYTES;
use pilotis_spec::ScalarType;

/// Headers of real files have a few hundred bytes.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// How the points of a PCD file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PcdEncoding {
    Ascii,
    Binary,
    BinaryCompressed,
}

/// One field: `n_values` values of `n_bytes` each a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PcdField {
    pub(super) name: String,
    /// `F`, `U` or `I`.
    pub(super) kind: char,
    pub(super) n_bytes: usize,
    pub(super) n_values: usize,
    /// Bytes of the fields before it, in one point.
    pub(super) offset_bytes: usize,
    /// Values of the fields before it, in one point.
    pub(super) offset_values: usize,
}

impl PcdField {
    /// The scalar type, where it is one that Pilotis reads.
    pub(super) fn scalar(&self) -> Option<ScalarType> {
        Some(match (self.kind, self.n_bytes) {
            ('F', 4) => ScalarType::F32,
            ('F', 8) => ScalarType::F64,
            ('U', 1) => ScalarType::U8,
            ('U', 2) => ScalarType::U16,
            ('U', 4) => ScalarType::U32,
            ('I', 1) => ScalarType::I8,
            ('I', 2) => ScalarType::I16,
            ('I', 4) => ScalarType::I32,
            _ => return None,
        })
    }
}

/// A header whose numbers agree with one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PcdHeader {
    pub(super) fields: Vec<PcdField>,
    pub(super) n_points: usize,
    pub(super) encoding: PcdEncoding,
    /// Byte at which the points begin.
    pub(super) n_header_bytes: usize,
    /// Lines of the header.
    pub(super) n_lines: usize,
    /// Line of the fields, for errors about them.
    pub(super) fields_line: usize,
    /// Line of the number of points, for errors about it.
    pub(super) points_line: usize,
    /// Bytes of one point.
    pub(super) stride_bytes: usize,
    /// Values of one point.
    pub(super) n_values: usize,
}

/// The words of a header line, and where it was.
struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
}

const KEYWORDS: [&str; 10] =
    ["VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA"];

impl PcdHeader {
    /// The header at the start of `head`, the first [`MAX_HEADER_BYTES`] of a file.
    ///
    /// **Errors**: with the line at fault.
    pub(super) fn parse(head: &[u8]) -> Result<Self, CloudError> {
        let (lines, n_header_bytes, n_lines) = split(head)?;
        let line = |keyword: &'static str| lines.iter().find(|l| l.words.first() == Some(&keyword));
        let needed = |keyword: &'static str| {
            line(keyword).ok_or_else(|| {
                CloudError::line(
                    n_lines,
                    format!("the header ends without a {keyword} line: write the file again"),
                )
            })
        };
        let version = needed("VERSION")?;
        let version_word = version.words.get(1).copied().unwrap_or_default();
        let is_old = match version_word {
            ".7" | "0.7" => false,
            ".6" | "0.6" | ".5" | "0.5" => true,
            other => {
                return Err(CloudError::line(
                    version.number,
                    format!("PCD version `{other}` is unknown: convert the file to 0.7"),
                ));
            }
        };
        let names = needed("FIELDS")?;
        let n_fields = names.words.len() - 1;
        // Files older than 0.7 may leave the types out; their fields were floats.
        let words_of = |keyword: &'static str, default: &'static str, optional: bool| match line(keyword) {
            Some(l) if l.words.len() - 1 == n_fields => Ok((l.number, l.words[1..].to_vec())),
            Some(l) => Err(CloudError::line(
                l.number,
                format!("{} values for the {n_fields} fields of line {}", l.words.len() - 1, names.number),
            )),
            None if optional => Ok((names.number, vec![default; n_fields])),
            None => needed(keyword).map(|l| (l.number, vec![])),
        };
        let (size_line, sizes) = words_of("SIZE", "4", is_old)?;
        let (type_line, types) = words_of("TYPE", "F", is_old)?;
        let (count_line, counts) = words_of("COUNT", "1", true)?;
        let mut fields = Vec::new();
        let (mut offset_bytes, mut offset_values) = (0_usize, 0_usize);
        for (((name, size), kind), count) in names.words.iter().skip(1).zip(sizes).zip(types).zip(counts) {
            let n_bytes = number(size_line, size)?;
            if !matches!(n_bytes, 1 | 2 | 4 | 8) {
                return Err(CloudError::line(
                    size_line,
                    format!("a value of {n_bytes} bytes: use 1, 2, 4 or 8"),
                ));
            }
            let kind = match kind {
                "F" => 'F',
                "U" => 'U',
                "I" => 'I',
                other => {
                    return Err(CloudError::line(
                        type_line,
                        format!("type `{other}` is unknown: use F, U or I"),
                    ));
                }
            };
            let n_values = number(count_line, count)?;
            let end = n_bytes.checked_mul(n_values).and_then(|n| n.checked_add(offset_bytes));
            let Some(end) = end.filter(|end| n_values > 0 && *end <= MAX_STRIDE_BYTES) else {
                let problem = format!(
                    "count {n_values}: a field has 1 or more, a point at most {MAX_STRIDE_BYTES} bytes"
                );
                return Err(CloudError::line(count_line, problem));
            };
            let name = (*name).to_owned();
            fields.push(PcdField { name, kind, n_bytes, n_values, offset_bytes, offset_values });
            // Values are at least one byte each, so their number is bounded with the bytes.
            (offset_bytes, offset_values) = (end, offset_values + n_values);
        }
        let (n_points, points_line) = n_points(line("WIDTH"), line("HEIGHT"), line("POINTS"), n_lines)?;
        let data = needed("DATA")?;
        let encoding = match data.words.get(1).copied().unwrap_or_default() {
            "ascii" => PcdEncoding::Ascii,
            "binary" => PcdEncoding::Binary,
            "binary_compressed" => PcdEncoding::BinaryCompressed,
            other => {
                let problem = format!("data `{other}` is unknown: use ascii, binary or binary_compressed");
                return Err(CloudError::line(data.number, problem));
            }
        };
        Ok(Self {
            fields,
            n_points,
            encoding,
            n_header_bytes,
            n_lines,
            fields_line: names.number,
            points_line,
            stride_bytes: offset_bytes,
            n_values: offset_values,
        })
    }
}

/// The lines up to `DATA` without comments, the byte after them, and their number.
fn split(head: &[u8]) -> Result<(Vec<Line<'_>>, usize, usize), CloudError> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut at = 0;
    let mut n_lines = 0;
    while let Some(rest) = head.get(at..).filter(|rest| !rest.is_empty()) {
        n_lines += 1;
        let Some(n) = rest.iter().position(|b| *b == b'\n') else { break };
        at += n + 1;
        let text = rest.get(..n).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Some(text) = text.filter(|t| t.chars().all(|c| !c.is_control() || c.is_whitespace())) else {
            return Err(CloudError::line(
                n_lines,
                "is not text: this is no PCD file, or its header has no DATA line",
            ));
        };
        let text = text.split('#').next().unwrap_or_default();
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let Some(first) = words.first_mut() else { continue };
        if *first == "COLUMNS" {
            *first = "FIELDS"; // the spelling of the oldest files
        }
        let first = *first;
        if !KEYWORDS.contains(&first) {
            let shown: String = first.chars().take(32).collect();
            return Err(CloudError::line(n_lines, format!("`{shown}` is no keyword of a PCD header")));
        }
        if lines.iter().any(|l| l.words.first() == Some(&first)) {
            return Err(CloudError::line(n_lines, format!("{first} stands twice")));
        }
        lines.push(Line { number: n_lines, words });
        if first == "DATA" {
            return Ok((lines, at, n_lines));
        }
    }
    let problem = if head.is_empty() {
        "is empty: a PCD file has at least a header".to_owned()
    } else {
        format!("has no DATA line in its first {} bytes: it is truncated, or no PCD file", head.len())
    };
    Err(CloudError::whole(problem))
}

/// The number of points that `POINTS`, or else `WIDTH` times `HEIGHT`, says; both must agree.
fn n_points(
    width: Option<&Line<'_>>,
    height: Option<&Line<'_>>,
    points: Option<&Line<'_>>,
    n_lines: usize,
) -> Result<(usize, usize), CloudError> {
    let value = |line: Option<&Line<'_>>| {
        line.map(|l| number(l.number, l.words.get(1).copied().unwrap_or_default())).transpose()
    };
    let place = points.or(width).map_or(n_lines, |l| l.number);
    let product =
        match (value(width)?, value(height)?) {
            (Some(w), h) => {
                let h = h.unwrap_or(1);
                let product = w.checked_mul(h);
                Some(product.ok_or_else(|| {
                    CloudError::line(place, format!("WIDTH {w} times HEIGHT {h} overflows"))
                })?)
            }
            (None, _) => None,
        };
    match (value(points)?, product) {
        (Some(points), Some(product)) if points != product => Err(CloudError::line(
            place,
            format!("POINTS is {points}, but WIDTH times HEIGHT is {product}: write the file again"),
        )),
        (Some(n), _) | (None, Some(n)) => Ok((n, place)),
        (None, None) => Err(CloudError::line(place, "the header has neither POINTS nor WIDTH")),
    }
}

fn number(line: usize, word: &str) -> Result<usize, CloudError> {
    word.parse().map_err(|_| {
        let shown: String = word.chars().take(32).collect();
        CloudError::line(line, format!("`{shown}` is not a whole number that fits {} bits", usize::BITS))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    const HEADER: &str = "# .PCD v.7 - Point Cloud Data file format\nVERSION .7\nFIELDS x y z _ intensity\n\
        SIZE 4 4 4 1 8\nTYPE F F F U F\nCOUNT 1 1 1 4 1\nWIDTH 6\nHEIGHT 2\nVIEWPOINT 0 0 0 1 0 0 0\n\
        POINTS 12\nDATA binary\n";

    #[test]
    fn a_header_with_padding_says_where_fields_lie() {
        let header = PcdHeader::parse(HEADER.as_bytes()).unwrap();
        assert_eq!((header.n_points, header.stride_bytes, header.n_values), (12, 24, 8));
        assert_eq!((header.n_header_bytes, header.n_lines), (HEADER.len(), 11));
        let intensity = &header.fields[4];
        assert_eq!((intensity.offset_bytes, intensity.offset_values), (16, 7));
        assert_eq!(intensity.scalar(), Some(ScalarType::F64));
    }

    #[test]
    fn old_spellings_mean_the_same() {
        let old = "VERSION .5\r\nCOLUMNS x y z\r\nWIDTH 3\r\nDATA ascii\r\n";
        let header = PcdHeader::parse(old.as_bytes()).unwrap();
        assert_eq!((header.n_points, header.stride_bytes), (3, 12));
        assert_eq!(header.fields[2].scalar(), Some(ScalarType::F32));
        let sixth = HEADER.replace("VERSION .7", "VERSION 0.6").replace("POINTS 12\n", "");
        assert_eq!(PcdHeader::parse(sixth.as_bytes()).unwrap().n_points, 12);
    }

    #[test]
    fn every_contradiction_is_refused_at_its_line() {
        let cases = [
            ("VERSION .7", "VERSION .8", 2),
            ("VERSION .7", "VERSION", 2),
            ("FIELDS x y z _ intensity", "FIELDS x y z intensity", 4),
            ("SIZE 4 4 4 1 8", "SIZE 4 4 4 1", 4),
            ("SIZE 4 4 4 1 8", "SIZE 4 4 4 1 3", 4),
            ("SIZE 4 4 4 1 8", "SIZE 4 4 4 1 -8", 4),
            ("TYPE F F F U F", "TYPE F F F U D", 5),
            ("COUNT 1 1 1 4 1", "COUNT 1 1 1 0 1", 6),
            ("COUNT 1 1 1 4 1", "COUNT 1 1 1 65536 1", 6),
            ("COUNT 1 1 1 4 1", "COUNT 1 1 1 18446744073709551615 1", 6),
            ("WIDTH 6", "WIDTH 99999999999999999999", 7),
            ("WIDTH 6", "WIDTH 9223372036854775808", 10),
            ("WIDTH 6", "WIDTH 7", 10),
            ("HEIGHT 2", "HEIGHT x", 8),
            ("HEIGHT 2", "WIDTH 2", 8),
            ("HEIGHT 2", "COLOUR 2", 8),
            ("DATA binary", "DATA zip", 11),
            ("WIDTH 6", "WIDTH \0", 7),
        ];
        for (from, to, line) in cases {
            assert!(HEADER.contains(from), "{from}");
            let error = PcdHeader::parse(HEADER.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert_eq!(error.place, Place::Line(line), "{to}: {error}");
        }
        for keyword in ["VERSION", "FIELDS", "SIZE", "TYPE"] {
            let without: String =
                HEADER.lines().filter(|l| !l.starts_with(keyword)).map(|l| format!("{l}\n")).collect();
            let error = PcdHeader::parse(without.as_bytes()).unwrap_err();
            assert!(error.problem.contains(keyword), "{error}");
        }
        let nowhere = HEADER.replace("WIDTH 6\n", "").replace("POINTS 12\n", "");
        assert!(PcdHeader::parse(nowhere.as_bytes()).unwrap_err().problem.contains("neither"));
    }

    #[test]
    fn a_header_without_end_is_refused() {
        for head in [&b""[..], b"VERSION .7\n", b"VERSION .7", &HEADER.as_bytes()[..HEADER.len() - 1]] {
            assert_eq!(PcdHeader::parse(head).unwrap_err().place, Place::Whole);
        }
    }
}
