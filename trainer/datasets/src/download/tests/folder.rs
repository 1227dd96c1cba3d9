//! What is there before and after, and what is asked for at all.

use super::*;

#[test]
fn a_dataset_is_fetched_once_and_recognised_without_a_request() {
    let file = served(1, "\"v1\"");
    let mut run = Run::new(vec![file.whole()]);
    let Outcome::Fetched { unpacked, receipt } = run.go().unwrap() else { panic!() };
    assert_eq!((unpacked.n_files, receipt.unwrap().etag.as_deref()), (3, Some("\"v1\"")));
    run.is_right(&file.bytes);
    assert_eq!(run.received.last(), Some(&(file.bytes.len() as u64)));
    assert_eq!(run.server.asked()[0].accept_encoding.as_deref(), Some("identity"));
    assert_eq!(run.go().unwrap(), Outcome::WasThere);
    assert_eq!(run.server.asked().len(), 1);
}

#[cfg(unix)]
#[test]
fn modes_of_the_archive_are_not_taken_over() {
    use std::os::unix::fs::PermissionsExt;
    let mut run = Run::new(vec![served(1, "\"v1\"").whole()]);
    run.go().unwrap();
    let mode = fs::metadata(run.out().join("v1.0-small/scene.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7111, 0, "{mode:o}");
}

#[test]
fn addresses_that_are_none_are_refused() {
    let mut run = Run::new(vec![served(1, "").whole()]);
    for bad in ["ftp://127.0.0.1/a", "file:///etc/passwd", "nuscenes", "http://", "http://[", "https://"] {
        let error = run.go_to(bad).unwrap_err();
        assert!(matches!(error, DownloadError::Address { .. }), "{bad}: {error}");
    }
    // Nobody listens there.
    let error = run.go_to("http://127.0.0.1:1/a").unwrap_err();
    assert!(matches!(error, DownloadError::GaveUp { last: Fault::Connection(_), .. }), "{error}");
    assert!(run.server.asked().is_empty());
    run.is_not_there();
}

#[test]
fn an_encrypted_address_needs_a_server_that_encrypts() {
    let mut run = Run::new(vec![served(1, "").whole()]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/small.tgz", listener.local_addr().unwrap());
    // It hangs up on whoever greets it, as often as the download tries.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let error = run.go_to(&url).unwrap_err();
    assert!(matches!(error, DownloadError::GaveUp { last: Fault::Connection(_), .. }), "{error}");
    run.is_not_there();
    // And it is not left for one that does not.
    assert!(client::agent(&url, &quick()).config().https_only());
    assert!(!client::agent("http://127.0.0.1/", &quick()).config().https_only());
}

#[test]
fn a_full_disk_is_noticed_before_anything_is_written() {
    let file = served(1, "\"v1\"");
    let mut run = Run::new(vec![file.whole()]);
    run.free = |_| Ok(400_000);
    let error = run.go().unwrap_err();
    // The archive, and what is in it.
    let n = file.bytes.len() as u64 + 300_000;
    assert!(matches!(error, DownloadError::NoSpace { needed, free: 400_000, .. } if needed == n), "{error}");
    run.is_not_there();
    assert!(free_bytes(run.folder.path()).unwrap() > 0);
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let mut run = Run::new(vec![served(1, "").whole()]);
    fs::create_dir(run.out()).unwrap();
    fs::write(run.out().join("precious"), b"x").unwrap();
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::Occupied { .. }), "{error}");
    assert_eq!(fs::read(run.out().join("precious")).unwrap(), b"x");
    assert!(run.server.asked().is_empty());
    // An empty one is taken.
    fs::remove_file(run.out().join("precious")).unwrap();
    run.go().unwrap();
}

#[test]
fn terms_that_were_not_accepted_are_shown_and_nothing_is_asked() {
    let run = Run::new(vec![served(1, "").whole()]);
    let url = run.server.url("/");
    let request = Request {
        source: &SMALL,
        url: Some(&url),
        out: &run.out(),
        sha256: None,
        keep_archive: false,
        accept_terms: false,
        limits: quick(),
        free_bytes,
    };
    let error = download(&request, &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("Terms of small") && error.to_string().contains("--accept-terms"),
        "{error}"
    );
    assert!(run.server.asked().is_empty() && run.names().is_empty());
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let mut run = Run::new(vec![served(1, "").whole()]);
    let lock = Lock::take(&run.beside("small.tgz")).unwrap();
    assert!(matches!(run.go().unwrap_err(), DownloadError::Busy { .. }));
    drop(lock);
    run.go().unwrap();
}

#[test]
fn an_archive_that_is_there_is_unpacked_without_a_request() {
    let file = served(1, "\"v1\"");
    let mut run = Run::new(vec![file.whole()]);
    run.keep_archive = true;
    fs::write(run.beside("small.tgz"), &file.bytes).unwrap();
    // What an interrupted run left of unpacking is not taken for its result.
    fs::create_dir(run.beside("data.unpacking")).unwrap();
    fs::write(run.beside("data.unpacking/rubbish"), b"x").unwrap();
    assert!(matches!(run.go().unwrap(), Outcome::Fetched { receipt: None, .. }));
    assert!(run.server.asked().is_empty());
    assert!(!run.out().join("rubbish").exists());
    assert_eq!(run.names(), ["data", "small.tgz"]);
}

#[test]
fn a_sound_archive_of_something_else_is_refused() {
    let bytes = archive(r#"[{"token": "1"}]"#, 1);
    let mut run = Run::new(vec![Served { bytes, etag: "" }.whole()]);
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::Contents { .. }), "{error}");
    assert!(error.to_string().contains("scene.json` has 1 rows"), "{error}");
    run.is_not_there();
}

#[test]
fn a_dataset_without_one_of_its_files_is_not_complete() {
    let mut run = Run::new(vec![served(1, "").whole()]);
    run.go().unwrap();
    let cloud = run.out().join("samples/LIDAR_TOP/a.pcd.bin");
    fs::remove_file(&cloud).unwrap();
    assert!(contents::check(&run.out(), &SMALL).unwrap_err().contains("a.pcd.bin"));
    for text in [r#"[{"filename": "../data/v1.0-small/scene.json"}]"#, "[{}]", "{}", "[", "[] []"] {
        fs::write(run.out().join("v1.0-small/sample_data.json"), text).unwrap();
        assert!(contents::check(&run.out(), &SMALL).is_err(), "{text}");
    }
}

#[test]
fn the_table_of_sources_is_sane() {
    let source = &NUSCENES_MINI;
    assert!(source.url.starts_with("https://") && source.url.ends_with(source.archive));
    assert!(source.usual_bytes < source.max_bytes && source.unpacked_bytes < 2 * source.max_bytes);
    assert_eq!(source.tables.len(), 13);
    assert!(source.notice.contains("CC BY-NC-SA 4.0") && source.notice.contains("https://"));
    // Every sensor file is an entry, and so are its folders.
    let files = source.tables.iter().find(|(name, _)| *name == "sample_data").unwrap().1;
    assert!(files.holds(31_206) && !files.holds(31_205) && source.max_entries > 31_206);
    assert!(Rows::AtLeast(23).holds(32) && !Rows::AtLeast(23).holds(22));
}
