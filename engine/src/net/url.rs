//! Where a tracker's URL leads.

use hyper::Uri;

use crate::tracker::TrackerFailure;

/// A tracker's URL, taken apart.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct TrackerUrl {
    pub(super) scheme: Scheme,
    /// A name or an address, in brackets where it is one of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) target: String,
}

/// How a tracker is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Http,
    Udp,
}

impl TrackerUrl {
    pub(super) fn parse(url: &str) -> Result<Self, TrackerFailure> {
        let bad = |why: &str| TrackerFailure::Unreachable(format!("{why}: {url}"));
        let uri: Uri = url.parse().map_err(|_| bad("not a URL"))?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, Some(80)),
            Some("udp") => (Scheme::Udp, None),
            _ => return Err(bad("only http and udp trackers are supported")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("a URL without a host"))?;
        let port = uri.port_u16().or(default_port).ok_or_else(|| bad("a URL without a port"))?;
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
            target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        })
    }

    /// The host to resolve.
    pub(super) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Scheme::{Http, Udp};

    #[test]
    fn addresses_that_can_be_asked() {
        for (url, scheme, host, port, target) in [
            ("http://t/announce?k=1", Http, "t", 80, "/announce?k=1"),
            ("HTTP://t.example:81", Http, "t.example", 81, "/"),
            ("udp://t:6969", Udp, "t", 6969, "/"),
            ("udp://[2001:db8::1]:6969/announce", Udp, "[2001:db8::1]", 6969, "/announce"),
        ] {
            let target = target.to_owned();
            let expected = TrackerUrl { scheme, host: host.to_owned(), port, target };
            assert_eq!(TrackerUrl::parse(url), Ok(expected), "{url}");
        }
        assert_eq!(TrackerUrl::parse("udp://[::1]:1").unwrap().name(), "::1");
    }

    #[test]
    fn addresses_that_cannot() {
        for url in [
            "https://t/announce",
            "wss://t:1/announce",
            "udp://t/announce",
            "udp://t:65536/announce",
            "udp://:1",
            "",
            "http://",
            "http:///x",
            "http://a b/",
            "t",
        ] {
            let result = TrackerUrl::parse(url);
            assert!(matches!(result, Err(TrackerFailure::Unreachable(_))), "{url}: {result:?}");
        }
    }
}
