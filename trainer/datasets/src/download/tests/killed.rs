//! A process that ends in the middle.

use super::*;

/// In the child, the address to fetch from.
const CHILD_URL: &str = "PILOTIS_TEST_DOWNLOAD_URL";
/// In the child, the folder to write.
const CHILD_OUT: &str = "PILOTIS_TEST_DOWNLOAD_OUT";

/// Not a test of its own: the process that [`a_killed_download_goes_on`] kills.
#[test]
fn downloads_for_the_test_of_a_killed_one() {
    let (Ok(url), Ok(out)) = (std::env::var(CHILD_URL), std::env::var(CHILD_OUT)) else { return };
    let request = Request {
        source: &SMALL,
        url: Some(&url),
        out: Path::new(&out),
        sha256: None,
        keep_archive: false,
        accept_terms: true,
        limits: Limits { window: Duration::from_secs(60), ..Limits::default() },
        free_bytes,
    };
    download(&request, &mut |_| {}).unwrap();
}

#[test]
fn a_killed_download_goes_on() {
    let file = served(1, "\"v1\"");
    let hang = file.trickle(80_000, 1, Duration::from_millis(1000));
    let mut run = Run::new(vec![hang, file.whole()]);
    let name = "download::tests::killed::downloads_for_the_test_of_a_killed_one";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD_URL, run.server.url("/small.tgz"))
        .env(CHILD_OUT, run.out())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let part = run.beside("small.tgz.part");
    for _ in 0..2000 {
        if fs::metadata(&part).is_ok_and(|m| m.len() >= 80_000) {
            break;
        }
        thread_sleep(5);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let n = usize::try_from(fs::metadata(&part).unwrap().len()).unwrap();
    assert!(n >= 80_000 && n < file.bytes.len(), "{n}");
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert_eq!(run.first_bytes_asked(), [None, Some(n)]);
}

#[test]
fn a_download_that_was_killed_at_its_end_asks_for_nothing() {
    let file = served(1, "\"v1\"");
    let mut run = Run::new(vec![fixed("HTTP/1.1 404 No\nContent-Length: 0", b"")]);
    let url = run.server.url("/small.tgz");
    let origin = format!(r#"{{"url": "{url}", "etag": "\"v1\"", "total": {}}}"#, file.bytes.len());
    fs::write(run.beside("small.tgz.part.json"), &origin).unwrap();
    fs::write(run.beside("small.tgz.part"), &file.bytes).unwrap();
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert!(run.server.asked().is_empty());
    // More bytes than the file has are not its bytes.
    let mut run = Run::new(vec![file.whole()]);
    let origin = origin.replace(&url, &run.server.url("/small.tgz"));
    fs::write(run.beside("small.tgz.part.json"), origin).unwrap();
    fs::write(run.beside("small.tgz.part"), [&file.bytes[..], b"more"].concat()).unwrap();
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert_eq!(run.first_bytes_asked(), [None]);
}
