//! `pilotis-trainer download`: a public dataset onto this disk. What it does is in `pilotis_datasets::download`.

use anyhow::ensure;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use pilotis_datasets::download::{
    self, Limits, NUSCENES_MINI, Outcome, Progress, Request, Source, free_bytes,
};
use std::path::PathBuf;

/// Options of `pilotis-trainer download`.
#[derive(Clone, Debug, clap::Args)]
pub struct DownloadArgs {
    /// What to fetch
    #[arg(value_enum)]
    pub dataset: Known,
    /// Folder of the dataset; missing or empty before, beside it lies the archive
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Another address of the archive than its publisher's
    #[arg(long)]
    pub url: Option<String>,
    /// SHA-256 that the archive must have, in hex
    #[arg(long)]
    pub sha256: Option<String>,
    /// Leave the archive beside the folder
    #[arg(long)]
    pub keep_archive: bool,
    /// Say that you have read the dataset's terms of use and keep to them
    #[arg(long)]
    pub accept_terms: bool,
}

/// Datasets that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Known {
    /// nuScenes v1.0-mini: ten scenes, 4 GB to fetch
    NuscenesMini,
}

impl Known {
    fn source(self) -> &'static Source {
        match self {
            Self::NuscenesMini => &NUSCENES_MINI,
        }
    }
}

/// Runs `pilotis-trainer download`.
///
/// **Errors**: what [`download::download`] says, and a digest that is none.
pub fn run(args: &DownloadArgs) -> anyhow::Result<()> {
    let source = args.dataset.source();
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(source.name));
    let sha256 = args.sha256.as_ref().map(|text| text.to_ascii_lowercase());
    if let Some(text) = &sha256 {
        let is_digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(is_digest, "--sha256 {text}: a SHA-256 is 64 hexadecimal digits");
    }
    let request = Request {
        source,
        url: args.url.as_deref(),
        out: &out,
        sha256: sha256.as_deref(),
        keep_archive: args.keep_archive,
        accept_terms: args.accept_terms,
        limits: Limits::default(),
        free_bytes,
    };
    tracing::info!("{}", source.notice);
    let bar = ProgressBar::no_length();
    let template =
        "{msg} {bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let outcome = download::download(&request, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    match outcome? {
        Outcome::WasThere => {
            tracing::info!(out = %out.display(), "{} is already there, complete", source.name);
        }
        Outcome::Fetched { unpacked, receipt } => {
            let sha256 = receipt.map_or_else(|| "not fetched in this run".to_owned(), |r| r.sha256);
            let size = HumanBytes(unpacked.n_bytes).to_string();
            tracing::info!(out = %out.display(), files = unpacked.n_files, size, sha256, "{} is there", source.name);
        }
    }
    Ok(())
}

fn show(bar: &ProgressBar, progress: Progress<'_>) {
    let (message, done, total) = match progress {
        Progress::Receiving { received, total } => ("fetching", received, total),
        Progress::Unpacking { done, total } => ("unpacking", done, Some(total)),
        Progress::Waiting { fault, wait } => {
            return bar.suspend(|| tracing::warn!("{fault}; going on in {wait:.0?}"));
        }
        Progress::Checking => return bar.set_message("checking"),
    };
    if bar.message() != message {
        bar.set_message(message);
        // What an earlier run brought tells nothing about how fast this one is.
        bar.set_position(done);
        bar.reset_eta();
    }
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(done);
}
