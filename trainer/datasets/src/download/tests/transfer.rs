//! What a server and a network can do to a file on its way.

use super::*;

#[test]
fn cut_bodies_go_on_where_they_ended() {
    let file = served(1, "\"v1\"");
    let mut run =
        Run::new(vec![file.cut_after(50_000), file.cut_after(1), file.cut_after(70_000), file.whole()]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert_eq!(run.first_bytes_asked(), [None, Some(50_000), Some(50_001), Some(120_001)]);
    assert!(run.server.asked()[1..].iter().all(|a| a.if_range.as_deref() == Some("\"v1\"")));
    assert_eq!(run.waits.len(), 3);
}

#[test]
fn a_reset_connection_goes_on_where_it_ended() {
    let file = served(1, "\"v1\"");
    let mut run = Run::new(vec![reset_after(&file, 60_000), file.whole()]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert!(matches!(run.faults()[..], [Fault::Connection(_)]), "{:?}", run.waits);
    assert_eq!(run.first_bytes_asked().len(), 2);
}

#[test]
fn an_interrupted_run_is_gone_on_with_by_the_next() {
    let file = served(1, "\"v1\"");
    let mut run = Run::new(vec![file.cut_after(30_000), file.cut_after(0)]);
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::GaveUp { received: 30_000, attempts: 4, .. }), "{error}");
    assert!(error.to_string().contains("try again later"), "{error}");
    run.is_not_there();
    run.server = Server::start(vec![file.whole()]);
    // Another address: what is there may be of another file.
    run.go().unwrap();
    assert_eq!(run.first_bytes_asked(), [None]);
    run.is_right(&file.bytes);
}

#[test]
fn a_server_that_ignores_ranges_begins_anew() {
    let file = served(1, "\"v1\"");
    let ignores = |n: usize| -> Answer {
        let file = file.clone();
        Box::new(move |_, stream| {
            let (head, bytes) = file.head(&Asked::default());
            stream.write_all(head.as_bytes())?;
            stream.write_all(&bytes[..n.min(bytes.len())])
        })
    };
    let mut run = Run::new(vec![ignores(90_000), ignores(usize::MAX)]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert_eq!(run.first_bytes_asked(), [None, Some(90_000)]);
    // One that cuts as well gets nowhere, and is not asked for ever.
    let mut run = Run::new(vec![ignores(90_000)]);
    assert!(matches!(run.go().unwrap_err(), DownloadError::GaveUp { attempts: 4, .. }));
    assert_eq!(run.first_bytes_asked(), [None, Some(90_000), Some(90_000), Some(90_000)]);
    run.is_not_there();
}

#[test]
fn without_a_mark_of_the_version_nothing_is_resumed() {
    for etag in ["", "W/\"weak\""] {
        let file = served(1, etag);
        let mut run = Run::new(vec![file.cut_after(90_000), file.whole()]);
        run.go().unwrap();
        run.is_right(&file.bytes);
        assert_eq!(run.first_bytes_asked(), [None, None], "{etag}");
    }
}

#[test]
fn wrong_ranges_are_not_taken() {
    let file = served(1, "\"v1\"");
    let total = file.bytes.len();
    let lies = |range: String, body: Vec<u8>| {
        fixed(
            &format!("HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: {range}\nContent-Length: {}", body.len()),
            &body,
        )
    };
    for (range, body) in [
        (format!("bytes 39000-{}/{total}", total - 1), file.bytes[39_000..].to_vec()),
        (format!("bytes 41000-{}/{total}", total - 1), file.bytes[41_000..].to_vec()),
        (format!("bytes 0-{}/{total}", total - 1), file.bytes.clone()),
        ("nonsense".to_owned(), file.bytes[40_000..].to_vec()),
        // It says a thousand bytes and sends more.
        (format!("bytes 40000-40999/{total}"), file.bytes[40_000..].to_vec()),
    ] {
        let mut run = Run::new(vec![file.cut_after(40_000), lies(range.clone(), body), file.whole()]);
        run.go().unwrap();
        run.is_right(&file.bytes);
        assert!(matches!(run.faults()[1], Fault::WrongRange(_)), "{range}: {:?}", run.waits);
        assert_eq!(run.first_bytes_asked()[2], Some(40_000), "{range}");
    }
    // Right in its beginning, and less than was asked for: that is a piece.
    let piece = lies(format!("bytes 40000-49999/{total}"), file.bytes[40_000..50_000].to_vec());
    let mut run = Run::new(vec![file.cut_after(40_000), piece, file.whole()]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert_eq!(run.first_bytes_asked(), [None, Some(40_000), Some(50_000)]);
}

#[test]
fn a_piece_that_was_not_asked_for_is_not_taken() {
    let file = served(1, "\"v1\"");
    let head =
        format!("HTTP/1.1 206 P\nContent-Range: bytes 0-{}/{}", file.bytes.len() - 1, file.bytes.len());
    let mut run = Run::new(vec![fixed(&head, &file.bytes)]);
    assert!(matches!(run.go().unwrap_err(), DownloadError::GaveUp { last: Fault::WrongRange(_), .. }));
    run.is_not_there();
}

#[test]
fn a_range_out_of_the_file_begins_anew() {
    let (long, short) = (served(1, "\"v1\""), served(2, "\"v2\""));
    let mut run = Run::new(vec![
        long.cut_after(100_000),
        fixed("HTTP/1.1 416 No\nContent-Range: bytes */70000\nContent-Length: 0", b""),
        short.whole(),
    ]);
    run.go().unwrap();
    run.is_right(&short.bytes);
    assert_eq!(run.faults()[1], &Fault::NoSuchRange(100_000));
    assert_eq!(run.first_bytes_asked(), [None, Some(100_000), None]);
}

#[test]
fn a_busy_server_is_asked_again_when_it_wishes() {
    let file = served(1, "\"v1\"");
    let busy = |wish: &str| fixed(&format!("HTTP/1.1 503 Busy\nRetry-After: {wish}\nContent-Length: 0"), b"");
    let mut run =
        Run::new(vec![busy("0"), busy("3600"), busy("Fri, 31 Dec 1999 23:59:59 GMT"), file.whole()]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    let waits: Vec<u128> = run.waits.iter().map(|(_, wait)| wait.as_millis()).collect();
    assert_eq!(waits, [0, 20, 4]);
    assert!(run.faults().iter().all(|f| **f == Fault::Status(503)));
    // And not for ever.
    let mut run = Run::new(vec![busy("0")]);
    assert!(matches!(run.go().unwrap_err(), DownloadError::GaveUp { last: Fault::Status(503), .. }));
    assert_eq!(run.first_bytes_asked().len(), 4);
}

#[test]
fn a_file_that_changes_between_two_pieces_begins_anew() {
    let (old, new) = (served(1, "\"v1\""), served(2, "\"v2\""));
    let mut run = Run::new(vec![old.cut_after(100_000), new.whole()]);
    run.go().unwrap();
    run.is_right(&new.bytes);
    // A server that does not know If-Range goes on in the new file: its mark tells.
    let careless = |file: &Served| -> Answer {
        let file = file.clone();
        Box::new(move |asked, stream| {
            let asked = Asked { if_range: None, ..asked.clone() };
            let (head, bytes) = file.head(&asked);
            stream.write_all(head.as_bytes())?;
            stream.write_all(bytes)
        })
    };
    let mut run = Run::new(vec![old.cut_after(100_000), careless(&new)]);
    run.go().unwrap();
    run.is_right(&new.bytes);
    assert_eq!(run.faults()[1], &Fault::Restarted);
    assert_eq!(run.first_bytes_asked(), [None, Some(100_000), None]);
}

#[test]
fn pieces_of_two_files_under_one_mark_are_found_by_the_digest() {
    let (old, new) = (served(1, "\"same\""), served(2, "\"same\""));
    assert_eq!(old.bytes.len(), new.bytes.len());
    let mut run = Run::new(vec![old.cut_after(100_000), new.whole()]);
    run.sha256 = Some(sha256(&new.bytes));
    run.go().unwrap();
    run.is_right(&new.bytes);
    assert_eq!(run.faults()[1], &Fault::Mixed);
    assert_eq!(run.first_bytes_asked(), [None, Some(100_000), None]);
    // Without a digest, gzip's checksum finds it, and the archive does not keep its name.
    let mut run = Run::new(vec![old.cut_after(100_000), new.whole()]);
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::Archive { refusal: Refusal::Damaged(_), .. }), "{error}");
    run.is_not_there();
    assert!(run.beside("small.tgz.refused").exists());
    run.go().unwrap();
    assert_eq!(run.first_bytes_asked(), [None, Some(100_000), None]);
}

#[test]
fn another_file_than_the_published_one_is_refused() {
    let (asked, sent) = (served(1, "\"v1\""), served(2, "\"v1\""));
    let mut run = Run::new(vec![sent.whole()]);
    run.sha256 = Some(sha256(&asked.bytes));
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::WrongDigest { .. }), "{error}");
    assert!(error.to_string().contains(&sha256(&sent.bytes)), "{error}");
    run.is_not_there();
    assert_eq!(fs::metadata(run.beside("small.tgz.part")).unwrap().len(), 0);
}

#[test]
fn a_trickle_is_not_waited_for() {
    let file = served(1, "\"v1\"");
    let trickle = file.trickle(0, 1000, Duration::from_millis(20));
    let mut run = Run::new(vec![file.trickle(30_000, 1000, Duration::from_millis(20)), file.whole()]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    // The first window had 30,000 bytes in it, the second a few.
    assert!(
        matches!(run.faults()[..], [Fault::TooSlow { received, .. }] if *received < 1000),
        "{:?}",
        run.waits
    );
    assert!(run.first_bytes_asked()[1].unwrap() > 30_000);
    let mut run = Run::new(vec![trickle]);
    run.keep_archive = true;
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::GaveUp { last: Fault::TooSlow { .. }, .. }), "{error}");
}

#[test]
fn silence_is_not_waited_for() {
    let file = served(1, "\"v1\"");
    let mut run = Run::new(vec![
        file.trickle(30_000, 1, Duration::from_millis(900)),
        Box::new(|_, _| {
            thread_sleep(900);
            Ok(())
        }),
        file.whole(),
    ]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert!(matches!(run.faults()[..], [Fault::Stalled(_), Fault::Stalled(_)]), "{:?}", run.waits);
}

#[test]
fn an_endless_body_is_ended() {
    let file = served(1, "\"v1\"");
    let endless: Answer = Box::new(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            write!(stream, "{:x}\r\n", file.bytes.len())?;
            stream.write_all(&file.bytes)?;
            stream.write_all(b"\r\n")?;
        }
    });
    let mut run = Run::new(vec![endless]);
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::TooLarge { max_bytes: 400_000, .. }), "{error}");
    run.is_not_there();
    assert_eq!(fs::metadata(run.beside("small.tgz.part")).unwrap().len(), 0);
    // One that says so beforehand is not even begun.
    let mut run = Run::new(vec![fixed("HTTP/1.1 200 OK\nContent-Length: 400001", &[0x1f, 0x8b])]);
    assert!(matches!(run.go().unwrap_err(), DownloadError::TooLarge { .. }));
}

#[test]
fn a_body_in_chunks_without_a_size_is_taken_whole_or_not_at_all() {
    let file = served(1, "\"v1\"");
    let chunked = |ends: bool| -> Answer {
        let file = file.clone();
        Box::new(move |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for bytes in file.bytes.chunks(40_000).take(if ends { usize::MAX } else { 2 }) {
                write!(stream, "{:x}\r\n", bytes.len())?;
                stream.write_all(bytes)?;
                stream.write_all(b"\r\n")?;
            }
            if ends { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
        })
    };
    let mut run = Run::new(vec![chunked(false), file.whole()]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert_eq!(run.first_bytes_asked(), [None, Some(80_000)]);
    let mut run = Run::new(vec![chunked(true)]);
    run.go().unwrap();
    run.is_right(&file.bytes);
}

#[test]
fn a_wrong_length_does_not_make_a_wrong_file() {
    let file = served(1, "\"v1\"");
    // Longer than the file: it is waited for in vain.
    let long = format!("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: {}", file.bytes.len() + 10);
    let mut run = Run::new(vec![fixed(&long, &file.bytes)]);
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::GaveUp { .. }), "{error}");
    run.is_not_there();
    // Shorter: what came is no whole archive.
    let short = format!("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: {}", file.bytes.len() - 10);
    let mut run = Run::new(vec![fixed(&short, &file.bytes)]);
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::Archive { refusal: Refusal::Damaged(_), .. }), "{error}");
    run.is_not_there();
    let mut run = Run::new(vec![fixed(&short, &file.bytes)]);
    run.sha256 = Some(sha256(&file.bytes));
    assert!(matches!(run.go().unwrap_err(), DownloadError::WrongDigest { .. }));
    run.is_not_there();
}

#[test]
fn redirects_are_followed_with_the_range_and_not_in_a_circle() {
    let file = served(1, "\"v1\"");
    let to = |path: &str| fixed(&format!("HTTP/1.1 302 Found\nLocation: {path}\nContent-Length: 0"), b"");
    let mut run = Run::new(vec![to("/a"), file.cut_after(50_000), to("/b"), file.whole()]);
    run.go().unwrap();
    run.is_right(&file.bytes);
    assert_eq!(run.first_bytes_asked(), [None, None, Some(50_000), Some(50_000)]);
    let paths: Vec<String> = run.server.asked().into_iter().map(|a| a.path).collect();
    assert_eq!(paths, ["/small.tgz", "/a", "/small.tgz", "/b"]);
    let mut run = Run::new(vec![to("/again")]);
    let error = run.go().unwrap_err();
    assert!(error.to_string().contains("redirected more than 4 times"), "{error}");
    run.is_not_there();
}

#[test]
fn a_page_instead_of_the_archive_is_shown_and_keeps_what_there_was() {
    let file = served(1, "\"v1\"");
    let page = b"<html><body>Please log in</body></html>";
    for head in ["HTTP/1.1 200 OK\nContent-Type: text/html; charset=utf-8", "HTTP/1.1 200 OK"] {
        let mut run = Run::new(vec![file.cut_after(30_000), fixed(head, page)]);
        let error = run.go().unwrap_err();
        assert!(matches!(error, DownloadError::NotTheArchive { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains("<html>") || said.contains("text/html"), "{said}");
        run.is_not_there();
        assert_eq!(fs::metadata(run.beside("small.tgz.part")).unwrap().len(), 30_000);
    }
}

#[test]
fn a_page_that_came_packed_is_a_page() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"<html><body>Please log in</body></html>").unwrap();
    let head = "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Encoding: gzip";
    let mut run = Run::new(vec![fixed(head, &encoder.finish().unwrap())]);
    let error = run.go().unwrap_err();
    assert!(matches!(error, DownloadError::NotTheArchive { .. }), "{error}");
    run.is_not_there();
}

#[test]
fn refusals_of_the_server_are_not_asked_again() {
    for (status, said) in [(403, "who asks"), (404, "no such file"), (451, "browser")] {
        let mut run = Run::new(vec![fixed(&format!("HTTP/1.1 {status} No\nContent-Length: 0"), b"")]);
        let error = run.go().unwrap_err();
        assert!(matches!(error, DownloadError::Status { status: s, .. } if s == status), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(run.server.asked().len(), 1);
        run.is_not_there();
    }
}
