//! Announces over whatever the tracker speaks.

use super::http;
use super::platform::Platform;
use super::udp;
use super::url::{Scheme, TrackerUrl};
use crate::dice::Dice;
use crate::tracker::{AnnounceReply, AnnounceRequest, TrackerFailure};

/// Announces to the tracker at `url`, over HTTP or UDP; `dice` make what UDP needs to be hard to guess.
///
/// # Errors
/// Where there is no answer in time, or none that can be read.
pub(super) async fn announce<P: Platform>(
    platform: &P,
    url: &str,
    request: &AnnounceRequest,
    dice: Dice,
) -> Result<AnnounceReply, TrackerFailure> {
    let url = TrackerUrl::parse(url)?;
    match url.scheme {
        Scheme::Http => http::announce(platform, &url, request).await,
        Scheme::Udp => udp::announce(platform, &url, request, dice).await,
    }
}
