//! Announces over UDP (BEP 15).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::select;

use super::platform::Platform;
use super::url::TrackerUrl;
use crate::dice::Dice;
use crate::tracker::udp::{ATTEMPTS, Exchange, MAX_DATAGRAM};
use crate::tracker::{AnnounceReply, AnnounceRequest, Family, TrackerFailure};

/// Announces to the tracker at `url`: to its first IPv4 address, and if nobody answers there, to its first IPv6 address.
///
/// # Errors
/// Where there is no answer in 105 s from either, or none that can be read.
pub(super) async fn announce<P: Platform>(
    platform: &P,
    url: &TrackerUrl,
    request: &AnnounceRequest,
    mut dice: Dice,
) -> Result<AnnounceReply, TrackerFailure> {
    let addrs = platform.resolve(url.name(), url.port).await.map_err(unreachable)?;
    let mut result = Err(unreachable("the host has no address"));
    for family in [Family::V4, Family::V6] {
        let Some(tracker) = addrs.iter().find(|addr| Family::of(addr.ip()) == family) else { continue };
        result = exchange(platform, *tracker, request, &mut dice).await;
        if !matches!(result, Err(TrackerFailure::Unreachable(_) | TrackerFailure::TimedOut)) {
            break;
        }
    }
    result
}

async fn exchange<P: Platform>(
    platform: &P,
    tracker: SocketAddr,
    request: &AnnounceRequest,
    dice: &mut Dice,
) -> Result<AnnounceReply, TrackerFailure> {
    let any: IpAddr =
        if tracker.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = platform.bind_udp(SocketAddr::new(any, 0)).await.map_err(unreachable)?;
    let mut exchange = Exchange::new(request.clone(), Family::of(tracker.ip()), ATTEMPTS);
    let mut buf = [0; MAX_DATAGRAM];
    loop {
        if let Some(datagram) = exchange.poll(platform.now(), dice)? {
            platform.send_to(&socket, &datagram, tracker).await.map_err(unreachable)?;
        }
        select! {
            biased;
            received = platform.recv_from(&socket, &mut buf) => {
                let (len, from) = received.map_err(unreachable)?;
                // Anybody may send something here.
                if (from.ip(), from.port()) == (tracker.ip(), tracker.port())
                    && let Some(outcome) = exchange.on_datagram(platform.now(), &buf[..len])
                {
                    return outcome;
                }
            }
            () = platform.sleep_until(exchange.poll_timeout()) => {}
        }
    }
}

fn unreachable(error: impl std::fmt::Display) -> TrackerFailure {
    TrackerFailure::Unreachable(error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;
    use crate::net::{Platform, Tokio, TrackerServer};
    use crate::tracker::AnnounceEvent;
    use crate::tracker::server::{Tracker, TrackerConfig};
    use crate::tracker::udp::{Answer, Ask, ConnectionId, Reply, Request};
    use crate::units::{InfoHash, PeerId};

    fn dice() -> Dice {
        Dice::stream(1, ("test", 0, "udp"))
    }

    fn request(port: u16) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash([0x25; 20]),
            peer_id: PeerId([0; 20]),
            port,
            uploaded: 0,
            downloaded: 0,
            left: 1,
            event: AnnounceEvent::Started,
            numwant: None,
            key: 7,
        }
    }

    async fn announce_from(platform: Tokio, url: &str, port: u16) -> Result<AnnounceReply, TrackerFailure> {
        announce(&platform, &TrackerUrl::parse(url).unwrap(), &request(port), dice()).await
    }

    /// A tracker on `ip`, and its URL.
    async fn serve(ip: IpAddr, config: TrackerConfig) -> String {
        let platform = Tokio::new(ip);
        let listener = platform.bind((ip, 0).into()).await.unwrap();
        let udp = platform.bind_udp((ip, 0).into()).await.unwrap();
        let url = format!("udp://{}/announce", udp.local_addr().unwrap());
        let server = TrackerServer::new(platform, Tracker::new(config), dice());
        tokio::spawn(server.run(listener, Some(udp)));
        url
    }

    #[tokio::test]
    async fn members_hear_of_each_other_through_the_server() {
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let url = serve(ip, TrackerConfig::default()).await;
            assert_eq!(announce_from(Tokio::new(ip), &url, 1).await.unwrap().peers, []);
            let reply = announce_from(Tokio::new(ip), &url, 2).await.unwrap();
            assert_eq!(reply.peers, [(ip, 1).into()]);
            assert_eq!((reply.complete, reply.incomplete), (Some(0), Some(2)));
            assert_eq!(reply.interval, TrackerConfig::default().interval);
        }
    }

    #[tokio::test]
    async fn the_platforms_source_is_announced() {
        let url = serve(Ipv4Addr::LOCALHOST.into(), TrackerConfig::default()).await;
        let other = Ipv4Addr::new(127, 0, 0, 2).into();
        announce_from(Tokio::new(other), &url, 1).await.unwrap();
        let reply = announce_from(Tokio::new(Ipv4Addr::LOCALHOST.into()), &url, 1).await.unwrap();
        assert_eq!(reply.peers, [(other, 1).into()]);
    }

    #[tokio::test]
    async fn a_refusal_gives_the_servers_reason() {
        let config = TrackerConfig { max_swarms: 0, ..TrackerConfig::default() };
        let url = serve(Ipv4Addr::LOCALHOST.into(), config).await;
        let refused = announce_from(Tokio::new(Ipv4Addr::LOCALHOST.into()), &url, 1).await;
        let reason = "this tracker serves too many torrents".to_owned();
        assert_eq!(refused, Err(TrackerFailure::Refused(reason)));
    }

    /// An announce under way, and the tracker's socket, which the test speaks from.
    async fn asked() -> (tokio::task::JoinHandle<Result<AnnounceReply, TrackerFailure>>, UdpSocket) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("udp://{}", socket.local_addr().unwrap());
        let platform = Tokio::new(Ipv4Addr::LOCALHOST.into());
        (tokio::spawn(async move { announce_from(platform, &url, 1).await }), socket)
    }

    async fn received(socket: &UdpSocket) -> (Request, SocketAddr) {
        let mut buf = [0; MAX_DATAGRAM];
        let (len, from) = socket.recv_from(&mut buf).await.unwrap();
        (Request::decode(&buf[..len]).unwrap(), from)
    }

    #[tokio::test]
    async fn strangers_and_late_answers_are_not_listened_to() {
        let (announced, socket) = asked().await;
        let (connect, client) = received(&socket).await;
        let connected = Answer::Connect(ConnectionId(5));
        let answer = Reply { transaction: connect.transaction, answer: connected }.encode(Family::V4);
        let refused = Answer::Error("go away".to_owned());
        let refused = Reply { transaction: connect.transaction, answer: refused }.encode(Family::V4);
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        stranger.send_to(&refused, client).await.unwrap();
        socket.send_to(&answer, client).await.unwrap();
        let (announce, _) = received(&socket).await;
        assert!(matches!(announce.ask, Ask::Announce(ConnectionId(5), _)), "{announce:?}");
        socket.send_to(&refused, client).await.unwrap();
        socket.send_to(&answer, client).await.unwrap();
        let refused = Answer::Error("over".to_owned());
        let refused = Reply { transaction: announce.transaction, answer: refused }.encode(Family::V4);
        socket.send_to(&refused, client).await.unwrap();
        assert_eq!(announced.await.unwrap(), Err(TrackerFailure::Refused("over".to_owned())));
    }

    // With the clock paused, time goes on as soon as nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn a_silent_tracker_is_asked_thrice_and_given_up() {
        let platform = Tokio::new(Ipv4Addr::LOCALHOST.into());
        let (announced, socket) = asked().await;
        assert_eq!(announced.await.unwrap(), Err(TrackerFailure::TimedOut));
        let waited = platform.now().since(crate::time::Instant::ZERO);
        assert!((104..=106).contains(&waited.as_secs()), "{waited}");
        let (first, _) = received(&socket).await;
        for _ in 1..ATTEMPTS {
            assert_eq!(received(&socket).await.0, first);
        }
        assert!(socket.try_recv(&mut [0; 9]).is_err());
    }

    #[tokio::test]
    async fn a_name_that_nobody_has() {
        let result = announce_from(Tokio::new(Ipv4Addr::LOCALHOST.into()), "udp://t.invalid:1", 1).await;
        assert!(matches!(result, Err(TrackerFailure::Unreachable(_))), "{result:?}");
    }
}
