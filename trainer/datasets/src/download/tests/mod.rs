//! Downloads from a server that misbehaves, into folders that are in the way.

mod folder;
mod killed;
mod server;
mod transfer;
mod unpacking;

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use server::{Answer, Asked, Served, Server, fixed, reset_after};
use sha2::{Digest, Sha256};
use std::io::Write;

static SMALL: Source = Source {
    name: "small",
    url: "https://127.0.0.1:9/never-asked.tgz",
    notice: "Terms of small",
    archive: "small.tgz",
    usual_bytes: 200_000,
    max_bytes: 400_000,
    unpacked_bytes: 300_000,
    max_entries: 20,
    sha256: None,
    tables_folder: "v1.0-small",
    tables: &[("scene", Rows::Exactly(2)), ("sample_data", Rows::AtLeast(1))],
};

/// A small dataset, not compressed, so that archives of different content have the same size.
fn archive(scenes: &str, seed: u64) -> Vec<u8> {
    let mut cloud = vec![0; 150_000];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut cloud);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (name, bytes) in [
        ("v1.0-small/scene.json", scenes.as_bytes()),
        ("v1.0-small/sample_data.json", br#"[{"token": "a", "filename": "samples/LIDAR_TOP/a.pcd.bin"}]"#),
        ("samples/LIDAR_TOP/a.pcd.bin", &cloud),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o4777);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

const TWO_SCENES: &str = r#"[{"token": "1"}, {"token": "2"}]"#;

fn served(seed: u64, etag: &'static str) -> Served {
    Served { bytes: archive(TWO_SCENES, seed), etag }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn quick() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        respond: Duration::from_millis(400),
        window: Duration::from_millis(300),
        min_window_bytes: 1000,
        max_redirects: 4,
        max_failures: 4,
        growth_bytes: 20_000,
        first_wait: Duration::from_millis(1),
        max_wait: Duration::from_millis(20),
    }
}

/// A folder, and what a download into it came to.
struct Run {
    folder: tempfile::TempDir,
    server: Server,
    keep_archive: bool,
    sha256: Option<String>,
    free: fn(&Path) -> io::Result<u64>,
    waits: Vec<(Fault, Duration)>,
    received: Vec<u64>,
}

impl Run {
    fn new(answers: Vec<Answer>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            server: Server::start(answers),
            keep_archive: false,
            sha256: None,
            free: |_| Ok(u64::MAX),
            waits: Vec::new(),
            received: Vec::new(),
        }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn go(&mut self) -> Result<Outcome, DownloadError> {
        let url = self.server.url("/small.tgz");
        self.go_to(&url)
    }

    fn go_to(&mut self, url: &str) -> Result<Outcome, DownloadError> {
        let out = self.out();
        let request = Request {
            source: &SMALL,
            url: Some(url),
            out: &out,
            sha256: self.sha256.as_deref(),
            keep_archive: self.keep_archive,
            accept_terms: true,
            limits: quick(),
            free_bytes: self.free,
        };
        let (waits, received) = (&mut self.waits, &mut self.received);
        download(&request, &mut |progress| match progress {
            Progress::Waiting { fault, wait } => waits.push((fault.clone(), wait)),
            Progress::Receiving { received: n, .. } => received.push(n),
            _ => {}
        })
    }

    fn faults(&self) -> Vec<&Fault> {
        self.waits.iter().map(|(fault, _)| fault).collect()
    }

    fn first_bytes_asked(&self) -> Vec<Option<usize>> {
        self.server.asked().iter().map(|asked| asked.from).collect()
    }

    /// The dataset is there as it was packed, and nothing else is beside it.
    fn is_right(&self, archive: &[u8]) {
        let receipt: Receipt =
            serde_json::from_slice(&fs::read(self.out().join(RECEIPT_FILE)).unwrap()).unwrap();
        assert_eq!(receipt.sha256, sha256(archive));
        assert_eq!(receipt.bytes, archive.len() as u64);
        assert_eq!(contents::check(&self.out(), &SMALL), Ok(()));
        let cloud = fs::metadata(self.out().join("samples/LIDAR_TOP/a.pcd.bin")).unwrap();
        assert_eq!(cloud.len(), 150_000);
        assert_eq!(self.names(), ["data"]);
    }

    /// Whatever there is, it has no final name.
    fn is_not_there(&self) {
        let finals: Vec<String> =
            self.names().into_iter().filter(|n| n == "data" || n.ends_with(".tgz")).collect();
        assert!(finals.is_empty(), "{finals:?}");
        assert!(!self.names().iter().any(|n| n.ends_with(".unpacking")), "{:?}", self.names());
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn thread_sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
