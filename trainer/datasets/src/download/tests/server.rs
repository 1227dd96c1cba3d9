//! A server on this machine that misbehaves as it is told: an answer a request, the last one again and again.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a client asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) path: String,
    /// The first byte of the range asked for.
    pub(super) from: Option<usize>,
    pub(super) if_range: Option<String>,
    pub(super) accept_encoding: Option<String>,
}

/// Writes an answer. The connection closes when it returns.
pub(super) type Answer = Box<dyn Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync>;

pub(super) struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (to, end) = (Arc::clone(&asked), Arc::clone(&stop));
        let answers = Arc::new(answers);
        let thread = thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                let request = read_request(&stream).unwrap();
                to.lock().unwrap().push(request.clone());
                // An answer that takes its time does not keep the next client waiting.
                let answers = Arc::clone(&answers);
                thread::spawn(move || {
                    let answer = answers.get(n).or(answers.last()).unwrap();
                    // A client that has had enough is what many of the tests want.
                    let _ = answer(&request, &mut stream);
                });
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn read_request(stream: &TcpStream) -> io::Result<Asked> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut asked = Asked::default();
    for (n, line) in BufReader::new(stream).lines().enumerate() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if n == 0 {
            asked.path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                asked.from = value.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')?.parse().ok());
            }
            "if-range" => asked.if_range = Some(value.to_owned()),
            "accept-encoding" => asked.accept_encoding = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(asked)
}

/// A file as a well-behaved server has it.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) bytes: Vec<u8>,
    pub(super) etag: &'static str,
}

impl Served {
    /// Status line and headers for what was asked, and the bytes that belong to it.
    pub(super) fn head(&self, asked: &Asked) -> (String, &[u8]) {
        let total = self.bytes.len();
        let same = asked.if_range.as_deref().is_none_or(|tag| tag == self.etag);
        let etag = if self.etag.is_empty() { String::new() } else { format!("ETag: {}\r\n", self.etag) };
        match asked.from {
            Some(from) if same && from < total => {
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\n{etag}Content-Range: bytes {from}-{}/{total}\r\n\
                     Content-Length: {}\r\n\r\n",
                    total - 1,
                    total - from
                );
                (head, &self.bytes[from..])
            }
            Some(_) if same => (
                format!("HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n"),
                &[],
            ),
            _ => (format!("HTTP/1.1 200 OK\r\n{etag}Content-Length: {total}\r\n\r\n"), &self.bytes),
        }
    }

    /// All that was asked for.
    pub(super) fn whole(&self) -> Answer {
        self.cut_after(usize::MAX)
    }

    /// So many bytes of it, and the connection closes in good order.
    pub(super) fn cut_after(&self, n: usize) -> Answer {
        let served = self.clone();
        Box::new(move |asked, stream| {
            let (head, bytes) = served.head(asked);
            stream.write_all(head.as_bytes())?;
            stream.write_all(&bytes[..n.min(bytes.len())])
        })
    }

    /// So many bytes of it, one at a time with a pause after each.
    pub(super) fn trickle(&self, n_at_once: usize, n_trickled: usize, pause: Duration) -> Answer {
        let served = self.clone();
        Box::new(move |asked, stream| {
            let (head, bytes) = served.head(asked);
            stream.write_all(head.as_bytes())?;
            let (at_once, rest) = bytes.split_at(n_at_once.min(bytes.len()));
            stream.write_all(at_once)?;
            for byte in rest.iter().take(n_trickled) {
                stream.write_all(&[*byte])?;
                thread::sleep(pause);
            }
            Ok(())
        })
    }
}

/// Something fixed, whatever was asked.
pub(super) fn fixed(head: &str, body: &[u8]) -> Answer {
    let mut bytes = head.replace('\n', "\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(body);
    Box::new(move |_, stream| stream.write_all(&bytes))
}

/// So many bytes, and the connection is reset.
pub(super) fn reset_after(served: &Served, n: usize) -> Answer {
    let served = served.clone();
    Box::new(move |asked, stream| {
        let (head, bytes) = served.head(asked);
        stream.write_all(head.as_bytes())?;
        stream.write_all(&bytes[..n.min(bytes.len())])?;
        // Who does not linger at all sends a reset instead of an end.
        rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO))?;
        // The bytes have to be there before it comes, or the client never sees them.
        thread::sleep(Duration::from_millis(50));
        Ok(())
    })
}
