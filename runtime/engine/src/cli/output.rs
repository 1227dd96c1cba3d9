//! Output: lines to stdout, a file or stderr, where a closed pipe is an end and no failure.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

/// Where a command's results go: people's lines, and JSON.
pub(super) struct Output {
    stdout: Option<BufWriter<StdoutLock<'static>>>,
    json: Option<BufWriter<Box<dyn Write>>>,
}

impl Output {
    /// Lines to stdout; JSON nowhere, into a file, or with `-` to stdout, which then has no lines.
    ///
    /// **Errors**: a file that cannot be made.
    pub(super) fn open(json: Option<&Path>) -> Result<Self> {
        let stdout = BufWriter::new(io::stdout().lock());
        Ok(match json {
            None => Self { stdout: Some(stdout), json: None },
            Some(path) if path == Path::new("-") => {
                Self { stdout: None, json: Some(BufWriter::new(Box::new(stdout))) }
            }
            Some(path) => {
                let file =
                    File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
                Self { stdout: Some(stdout), json: Some(BufWriter::new(Box::new(file))) }
            }
        })
    }

    /// Writes text for people, where there is a place for it.
    pub(super) fn text(&mut self, text: &str) -> Result<()> {
        match &mut self.stdout {
            Some(stdout) => stdout.write_all(text.as_bytes()).context("cannot write to stdout"),
            None => Ok(()),
        }
    }

    /// Writes one line for people.
    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        self.text(line)?;
        self.text("\n")
    }

    /// Writes one compact line of JSON, where it was asked for.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let Some(json) = &mut self.json else { return Ok(()) };
        let mut line = serde_json::to_vec(value).context("cannot put the results into JSON")?;
        line.push(b'\n');
        json.write_all(&line).context("cannot write JSON")
    }

    /// Hands on what was written, so that a reader has every finished frame.
    pub(super) fn flush(&mut self) -> Result<()> {
        if let Some(stdout) = &mut self.stdout {
            stdout.flush().context("cannot write to stdout")?;
        }
        if let Some(json) = &mut self.json {
            json.flush().context("cannot write JSON")?;
        }
        Ok(())
    }
}

/// Writes a line to stderr; where nobody listens, that is that.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether an error is a reader that went away.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Makes a folder for pictures.
pub(super) fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder `{}`", dir.display()))
}

/// Names pictures after their inputs, each name once.
#[derive(Default)]
pub(super) struct PictureNames {
    taken: std::collections::BTreeSet<String>,
}

impl PictureNames {
    /// The picture of an input: `dir/STEM.png`, or `dir/STEM-2.png` where that is another's.
    pub(super) fn of(&mut self, dir: &Path, input: &Path) -> PathBuf {
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let stem = [".pcd.bin", ".bin", ".pcd"].iter().find_map(|end| name.strip_suffix(end));
        let stem = stem.filter(|s| !s.is_empty()).unwrap_or(&name);
        let mut picture = format!("{stem}.png");
        let mut n = 1;
        while !self.taken.insert(picture.clone()) {
            n += 1;
            picture = format!("{stem}-{n}.png");
        }
        dir.join(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_inputs_of_one_name_do_not_overwrite_each_other() {
        let mut names = PictureNames::default();
        let dir = Path::new("out");
        for (input, picture) in [
            ("a/1.bin", "out/1.png"),
            ("b/1.bin", "out/1-2.png"),
            ("b/1.pcd", "out/1-3.png"),
            ("1-2.bin", "out/1-2-2.png"),
            ("n.pcd.bin", "out/n.png"),
            ("a/.bin", "out/.bin.png"),
        ] {
            assert_eq!(names.of(dir, Path::new(input)), Path::new(picture), "{input}");
        }
    }

    #[test]
    fn a_closed_pipe_is_known_below_its_context() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::new(broken).context("cannot write")));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(!is_closed_pipe(&anyhow::Error::new(full).context("cannot write")));
    }
}
