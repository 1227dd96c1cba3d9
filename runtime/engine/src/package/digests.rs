//! `package.sha256`: the list of digests, and whether a folder holds exactly what it lists.

use super::MAX_FILES;
use pilotis_spec::manifest::{CARD_FILE, DIGESTS_FILE, MANIFEST_FILE, is_inside, is_sha256};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]).collect()
}

/// Reads the lines of a `package.sha256`: 64 hex digits, two spaces, a path inside the package.
///
/// **Errors**: a text without the place of the package: a line of another form, a path that
/// leaves the package or stands twice, or a list without the manifest.
pub fn parse_digests(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{DIGESTS_FILE} is no text"))?;
    let Some(lines) = text.strip_suffix('\n') else {
        return Err(format!("{DIGESTS_FILE} is empty or lacks its last newline: it is cut off"));
    };
    let mut digests = BTreeMap::new();
    for (i, line) in lines.split('\n').enumerate() {
        let place = format!("{DIGESTS_FILE} line {}", i + 1);
        let (digest, path) = line
            .split_once("  ")
            .filter(|(digest, _)| is_sha256(digest))
            .ok_or_else(|| format!("{place}: `{}` is not `SHA-256  PATH`", line.escape_debug()))?;
        if !is_inside(path) {
            return Err(format!("{place}: `{}` is not a path inside the package", path.escape_debug()));
        }
        if path == DIGESTS_FILE || path == CARD_FILE {
            return Err(format!("{place}: `{path}` cannot be listed"));
        }
        if digests.insert(path.to_owned(), digest.to_owned()).is_some() {
            return Err(format!("{place}: `{path}` stands twice"));
        }
    }
    if digests.len() > MAX_FILES {
        return Err(format!(
            "{DIGESTS_FILE} lists {} files; a package has at most {MAX_FILES}",
            digests.len()
        ));
    }
    if !digests.contains_key(MANIFEST_FILE) {
        return Err(format!("{DIGESTS_FILE} does not list {MANIFEST_FILE}"));
    }
    Ok(digests)
}

/// Every listed file exists, and every existing file is listed.
pub(super) fn compare_listing(
    digests: &BTreeMap<String, String>,
    found: &BTreeSet<String>,
) -> Result<(), String> {
    if let Some(missing) = digests.keys().find(|path| !found.contains(*path)) {
        return Err(format!("`{missing}` is missing; copy or export the package again"));
    }
    let is_known = |path: &str| path == DIGESTS_FILE || path == CARD_FILE || digests.contains_key(path);
    if let Some(extra) = found.iter().find(|path| !is_known(path)) {
        return Err(format!(
            "`{extra}` is not listed in {DIGESTS_FILE}; remove it (only {CARD_FILE} may stand unlisted)"
        ));
    }
    Ok(())
}
