//! Archives that want out of their folder, or to be more than they say.

use crate::download::unpack::{Bounds, Refusal, Unpacked, unpack};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

const BOUNDS: Bounds = Bounds { max_entries: 20, max_bytes: 64 << 20, max_ratio: 100 };

/// An entry as it stands in an archive, with a header of any content.
fn entry(name: &[u8], kind: EntryType, size: u64, content: &[u8], link: &str) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o6777);
    if !link.is_empty() {
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name.as_bytes(), EntryType::Regular, content.len() as u64, content, "")
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut n = rest.len() + 1;
    while n != rest.len() + n.to_string().len() {
        n = rest.len() + n.to_string().len();
    }
    let record = format!("{n}{rest}");
    entry(b"pax", EntryType::XHeader, record.len() as u64, record.as_bytes(), "")
}

fn long(name: &[u8]) -> Vec<u8> {
    entry(b"././@LongLink", EntryType::GNULongName, name.len() as u64, name, "")
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn tgz(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = entries.concat();
    tar.extend_from_slice(&[0; 1024]);
    gzip(&tar)
}

/// Unpacks into `inside` of a folder that holds a file which nobody may touch.
fn run(bytes: &[u8], bounds: Bounds) -> (tempfile::TempDir, Result<Unpacked, Refusal>) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, inside) = (folder.path().join("a.tgz"), folder.path().join("inside"));
    fs::write(&archive, bytes).unwrap();
    fs::write(folder.path().join("victim"), b"untouched").unwrap();
    fs::create_dir(&inside).unwrap();
    let dir = Dir::open_ambient_dir(&inside, ambient_authority()).unwrap();
    let result = unpack(&archive, &dir, bounds, &mut |_| {});
    // Whatever the archive is: beside the folder everything is as it was.
    assert_eq!(fs::read(folder.path().join("victim")).unwrap(), b"untouched");
    let mut beside: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into()).collect();
    beside.sort();
    assert_eq!(beside, [Path::new("a.tgz"), Path::new("inside"), Path::new("victim")]);
    (folder, result)
}

fn refusal(entries: &[Vec<u8>]) -> Refusal {
    run(&tgz(entries), BOUNDS).1.unwrap_err()
}

#[test]
fn files_and_folders_are_made_below_the_folder() {
    let long_name = format!("samples/{}/a.bin", "x".repeat(150));
    let pax_name = format!("sweeps/{}.bin", "y".repeat(200));
    let archive = tgz(&[
        entry(b"pax_global_header", EntryType::XGlobalHeader, 22, b"22 comment=0123456789\n", ""),
        entry(b"./", EntryType::Directory, 0, b"", ""),
        entry(b"./samples/", EntryType::Directory, 0, b"", ""),
        entry(b"samples", EntryType::Directory, 0, b"", ""),
        file("./samples//a.bin", b"one"),
        file("empty", b""),
        long(format!("{long_name}\0").as_bytes()),
        file("cut", &[7; 600]),
        pax("path", &pax_name),
        file("cut", b"three"),
    ]);
    let (folder, result) = run(&archive, BOUNDS);
    assert_eq!(result.unwrap(), Unpacked { n_files: 4, n_bytes: 608 });
    let read = |name: &str| fs::read(folder.path().join("inside").join(name)).unwrap();
    assert_eq!(read("samples/a.bin"), b"one");
    assert_eq!(read("empty"), b"");
    assert_eq!(read(&long_name), [7; 600]);
    assert_eq!(read(&pax_name), b"three");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let too_long = "n/".repeat(600);
    let long_part = "p".repeat(256);
    for name in [
        "../victim",
        "a/../../victim",
        "a/..",
        "..",
        "/victim",
        "//victim",
        "..\\victim",
        "C:\\victim",
        "C:victim",
        "a\nb",
        "a\u{7f}b",
        &too_long,
        &long_part,
    ] {
        for entries in [
            vec![long(name.as_bytes()), file("x", b"evil")],
            vec![pax("path", name), file("x", b"evil")],
            vec![long(name.as_bytes()), entry(b"x", EntryType::Directory, 0, b"", "")],
        ] {
            // A line's end within a PAX record is malformed already.
            let refusal = refusal(&entries);
            assert!(matches!(refusal, Refusal::Name { .. } | Refusal::Damaged(_)), "{name:?}: {refusal}");
        }
        if name.len() < 100 {
            assert!(matches!(refusal(&[file(name, b"evil")]), Refusal::Name { .. }), "{name:?}");
        }
    }
    assert!(matches!(refusal(&[entry(b"\xff\xfe", EntryType::Regular, 0, b"", "")]), Refusal::Name { .. }));
    assert!(matches!(refusal(&[file("", b"evil")]), Refusal::Name { .. }));
    assert!(matches!(refusal(&[file("./", b"evil")]), Refusal::Name { .. }));
}

#[test]
fn links_and_devices_are_refused() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNUSparse,
        EntryType::GNULongLink,
        EntryType::new(b'V'),
    ] {
        let refusal = refusal(&[entry(b"way", kind, 0, b"", ".."), file("way/victim", b"evil")]);
        assert!(matches!(refusal, Refusal::Kind { .. }), "{kind:?}: {refusal}");
    }
    let sparse = refusal(&[pax("GNU.sparse.realsize", "99999999999"), file("a", b"x")]);
    assert!(matches!(sparse, Refusal::Kind { .. }), "{sparse}");
}

#[test]
fn a_link_that_somebody_else_puts_there_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, inside) = (folder.path().join("a.tgz"), folder.path().join("inside"));
    fs::write(&archive, tgz(&[file("way/victim", b"evil")])).unwrap();
    fs::write(folder.path().join("victim"), b"untouched").unwrap();
    fs::create_dir(&inside).unwrap();
    let dir = Dir::open_ambient_dir(&inside, ambient_authority()).unwrap();
    std::os::unix::fs::symlink("..", inside.join("way")).unwrap();
    let result = unpack(&archive, &dir, BOUNDS, &mut |_| {});
    assert!(matches!(result, Err(Refusal::Write { .. })), "{result:?}");
    assert_eq!(fs::read(folder.path().join("victim")).unwrap(), b"untouched");
}

#[test]
fn names_that_come_twice_are_refused() {
    let folder = |name: &str| entry(name.as_bytes(), EntryType::Directory, 0, b"", "");
    for entries in [
        vec![file("a", b"1"), file("a", b"2")],
        vec![file("a", b"1"), file("./a", b"2")],
        vec![file("dir/a", b"1"), file("dir/A", b"2")],
        vec![file("dir/a", b"1"), file("DIR/b", b"2")],
        vec![file("a", b"1"), folder("a")],
        vec![folder("a"), file("a", b"1")],
        vec![file("a", b"1"), file("a/b", b"2")],
        vec![file("a/b", b"1"), file("a", b"2")],
        vec![file("a/b", b"1"), folder("A")],
    ] {
        let refusal = refusal(&entries);
        assert!(matches!(refusal, Refusal::Twice(_)), "{refusal}");
    }
}

#[test]
fn sizes_that_differ_from_parser_to_parser_are_refused() {
    let refusal = refusal(&[pax("size", "1024"), file("a", b"1")]);
    assert!(matches!(refusal, Refusal::Damaged(_)), "{refusal}");
}

#[test]
fn an_archive_that_is_too_much_is_refused() {
    let many: Vec<Vec<u8>> = (0..21).map(|n| file(&format!("{n}"), b"")).collect();
    assert!(matches!(refusal(&many), Refusal::TooMuch { what: "entries", max: 20 }));
    let zeros = vec![0; 32 << 20];
    let bomb = refusal(&[file("zeros", &zeros)]);
    assert!(matches!(bomb, Refusal::TooMuch { what: "bytes for each packed one", max: 100 }), "{bomb}");
    // A name of that size would be kept in memory.
    let name = refusal(&[long(&vec![b'a'; 1 << 20]), file("x", b"")]);
    assert!(matches!(name, Refusal::TooMuch { what: "bytes in a header", .. }), "{name}");
    // Zeros behind the end count as well.
    let mut padded = file("a", b"1");
    padded.resize(32 << 20, 0);
    assert!(matches!(run(&gzip(&padded), BOUNDS).1, Err(Refusal::TooMuch { .. })));
    let bounds = Bounds { max_bytes: 5000, ..BOUNDS };
    let large = run(&tgz(&[file("a", &[1; 5000])]), bounds).1;
    assert!(matches!(large, Err(Refusal::TooMuch { what: "bytes", max: 5000 })), "{large:?}");
    // What a header says is not believed.
    let lies = refusal(&[entry(b"a", EntryType::Regular, 1 << 40, b"1", "")]);
    assert!(lies.to_string().contains("`a` is cut off at byte"), "{lies}");
    let lies = refusal(&[entry(b"a", EntryType::Regular, u64::MAX, b"1", "")]);
    assert!(matches!(lies, Refusal::Damaged(_)), "{lies}");
}

#[test]
fn damaged_archives_are_refused() {
    let good = tgz(&[file("a", b"some text that is packed"), file("b", b"more of it")]);
    for n in 0..good.len() {
        assert!(
            matches!(run(&good[..n], BOUNDS).1, Err(Refusal::Damaged(_))),
            "cut to {n} of {}",
            good.len()
        );
    }
    // The checksum and the length stand in the last eight bytes.
    for n in good.len() - 8..good.len() {
        let mut bad = good.clone();
        bad[n] ^= 1;
        assert!(matches!(run(&bad, BOUNDS).1, Err(Refusal::Damaged(_))), "byte {n}");
    }
    let mut longer = good;
    longer.extend_from_slice(b"rubbish");
    assert!(matches!(run(&longer, BOUNDS).1, Err(Refusal::Damaged(_))));
    let last_is_name = tgz(&[file("a", b"1"), long(b"b")]);
    assert!(matches!(run(&last_is_name, BOUNDS).1, Err(Refusal::Damaged(_))));
    // Two streams one after the other are one, as gzip has it.
    let (first, second) = (file("a", b"1"), tgz(&[file("b", b"2")]));
    assert_eq!(run(&[gzip(&first), second].concat(), BOUNDS).1.unwrap().n_files, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_header_writes_outside(
        mut headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 160), 1..4),
        names in prop::collection::vec("(\\.\\./|/|a/|\\./|b){0,6}", 3),
        checked in any::<bool>(),
    ) {
        let mut tar = Vec::new();
        for (bytes, name) in headers.iter_mut().zip(&names) {
            let mut block = [0; 512];
            block[100..100 + 155].copy_from_slice(&bytes[..155]);
            block[..name.len()].copy_from_slice(name.as_bytes());
            // A size that can be: eight octal digits, small.
            block[124..136].copy_from_slice(b"00000000003\0");
            block[156] = [b'0', b'5', b'2', b'1', b'L', b'x', b'K', b'g', b'S', b'7'][usize::from(bytes[159]) % 10];
            let mut header = Header::from_byte_slice(&block).clone();
            if checked {
                header.set_cksum();
            }
            tar.extend_from_slice(header.as_bytes());
            let mut content = b"abc".to_vec();
            content.resize(512, 0);
            tar.extend_from_slice(&content);
        }
        tar.extend_from_slice(&[0; 1024]);
        // `run` itself checks what lies beside the folder.
        let _ = run(&gzip(&tar), BOUNDS);
    }
}
