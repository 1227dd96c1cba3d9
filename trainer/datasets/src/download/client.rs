//! One request: what is asked, and what of the answer matters.

use super::error::{DownloadError, Fault};
use super::limits::Limits;
use super::partial::Origin;
use std::io::{self, Read};
use std::time::Duration;
use ureq::http::{HeaderMap, header};
use ureq::{Agent, BodyReader};

/// Why an attempt ended.
pub(super) enum Stop {
    /// Trying again may help; the server's wish when, if it has one.
    Again(Fault, Option<Duration>),
    /// It will not.
    For(DownloadError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Again(fault, None)
    }
}

impl From<DownloadError> for Stop {
    fn from(error: DownloadError) -> Self {
        Self::For(error)
    }
}

/// The piece of a file that an answer says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: u64,
    /// The last byte, inclusive.
    pub(super) last: u64,
    pub(super) total: Option<u64>,
}

/// The head of an answer that brings bytes, and its body.
pub(super) struct Answer {
    /// `None`: all of the file. Else a piece.
    pub(super) piece: Option<Piece>,
    pub(super) origin: Origin,
    pub(super) content_type: String,
    body: BodyReader<'static>,
    window: Duration,
}

/// An agent for an address.
///
/// An address that begins encrypted is not followed to one that is not. Loopback addresses need no proxy.
pub(super) fn agent(url: &str, limits: &Limits) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(url.starts_with("https:"))
        .max_redirects(limits.max_redirects)
        .user_agent(concat!("pilotis/", env!("CARGO_PKG_VERSION")))
        // The bytes of the file as they are: a server must not pack them on the way.
        .accept_encoding("identity")
        .max_idle_connections(0)
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.respond))
        .timeout_per_read(Some(limits.window));
    if ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|local| url.starts_with(local)) {
        config = config.proxy(None);
    }
    config.build().new_agent()
}

/// Asks for a file from a byte on; for all of it if it is another version than the one begun.
///
/// **Errors**: no answer, or one without bytes.
pub(super) fn ask(
    agent: &Agent,
    url: &str,
    begun: Option<(u64, &str)>,
    limits: &Limits,
) -> Result<Answer, Stop> {
    let mut request = agent.get(url);
    if let Some((first, validator)) = begun {
        request = request.header(header::RANGE, format!("bytes={first}-"));
        request = request.header(header::IF_RANGE, validator);
    }
    let response = request.call().map_err(|e| stop(e, url, limits))?;
    let (head, body) = response.into_parts();
    let text = |name: header::HeaderName| head.headers.get(name).and_then(|v| v.to_str().ok());
    let origin = |total| Origin {
        url: url.to_owned(),
        etag: text(header::ETAG).map(str::to_owned),
        last_modified: text(header::LAST_MODIFIED).map(str::to_owned),
        total,
    };
    let status = head.status.as_u16();
    let (piece, origin) = match (status, begun) {
        (200, _) => (None, origin(body.content_length())),
        (206, Some(_)) => {
            let range = text(header::CONTENT_RANGE).unwrap_or("no range is stated");
            let piece = parse_range(range).ok_or_else(|| Fault::WrongRange(range.to_owned()))?;
            (Some(piece), origin(piece.total))
        }
        (206, None) => return Err(Fault::WrongRange("a piece of the file instead of all".to_owned()).into()),
        (416, Some((first, _))) => return Err(Fault::NoSuchRange(first).into()),
        (408 | 425 | 429 | 500..=599, _) => {
            return Err(Stop::Again(Fault::Status(status), retry_after(&head.headers)));
        }
        _ => {
            return Err(DownloadError::Status { url: url.to_owned(), status, hint: hint(status) }.into());
        }
    };
    let content_type = text(header::CONTENT_TYPE).unwrap_or("no stated type").to_owned();
    let body = body.into_with_config().limit(u64::MAX).reader();
    Ok(Answer { piece, origin, content_type, body, window: limits.window })
}

impl Answer {
    /// Reads what is there of the body; nothing at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        loop {
            match self.body.read(buffer) {
                Ok(n) => return Ok(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_timeout(&e) => return Err(Fault::Stalled(self.window)),
                Err(e) => return Err(Fault::Connection(e.to_string())),
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|e| e.downcast_ref());
    error.kind() == io::ErrorKind::TimedOut || matches!(inner, Some(ureq::Error::Timeout(_)))
}

/// `bytes first-last/total`, where the total may be `*`.
fn parse_range(text: &str) -> Option<Piece> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let piece = Piece { first: first.parse().ok()?, last: last.parse().ok()?, total };
    let is_sane = piece.first <= piece.last && piece.total.is_none_or(|total| piece.last < total);
    is_sane.then_some(piece)
}

/// The server's wish when to try again, where it is a number of seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "it wants to know who asks; take the address from the publisher's site (--url)",
        404 | 410 => "there is no such file; look up the address on the publisher's site (--url)",
        _ => "open the address in a browser to see what it says, or give another one (--url)",
    }
}

fn stop(error: ureq::Error, url: &str, limits: &Limits) -> Stop {
    let address = |reason: String| DownloadError::Address { url: url.to_owned(), reason }.into();
    match error {
        ureq::Error::TooManyRedirects => address(format!(
            "it was redirected more than {} times, perhaps in a circle",
            limits.max_redirects
        )),
        ureq::Error::RequireHttpsOnly(to) => {
            address(format!("it is redirected to `{to}`, which is not encrypted"))
        }
        ureq::Error::BadUri(why) => address(format!("it is no address: {why}")),
        ureq::Error::Http(why) => address(format!("it is no address: {why}")),
        ureq::Error::Timeout(_) => Fault::Stalled(limits.respond).into(),
        other => Fault::Connection(other.to_string()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_cannot_be_are_none() {
        assert_eq!(parse_range("bytes 5-9/10"), Some(Piece { first: 5, last: 9, total: Some(10) }));
        assert_eq!(parse_range("bytes 0-0/*"), Some(Piece { first: 0, last: 0, total: None }));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes -5/10",
            "items 5-9/10",
            "bytes 5-9",
        ] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
