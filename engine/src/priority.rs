//! Whom to be connected to, by a measure on which both ends agree: canonical peer priority (BEP 40).

use std::net::{IpAddr, SocketAddr};

use crc::{CRC_32_ISCSI, Crc};

/// CRC32-C, the Castagnoli polynomial.
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// Votes for an address that are counted; so many against it turn the tide.
const MAX_VOTES: u8 = 16;

/// The priority of the connection between two peers, the same seen from either; `None` where the addresses are of two
/// families. "priority = crc32-c(sort(masked_client_ip, masked_peer_ip)) ... If the IP addresses are the same, the port
/// numbers (16-bit integers) should be used instead" (BEP 40).
///
/// For IPv6 addresses in one /40 this follows the BEP; libtorrent leaves one byte more unmasked there.
pub fn canonical_priority(one: SocketAddr, other: SocketAddr) -> Option<u32> {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    if a == b {
        let mut ports = [one.port(), other.port()];
        ports.sort_unstable();
        return Some(CRC32C.checksum(&[ports[0].to_be_bytes(), ports[1].to_be_bytes()].concat()));
    }
    match (a, b) {
        // "For an IPv4 address, the mask to be used should be FF.FF.55.55 unless the IP addresses are in the same /16.
        // In that case, the mask to be used should be FF.FF.FF.55. If the IP addresses are in the same /24, the entire
        // address should be used".
        (IpAddr::V4(a), IpAddr::V4(b)) => Some(of_octets(a.octets(), b.octets(), 2)),
        // "For an IPv6 address, the mask should be derived in the same way, beginning with
        // FFFF:FFFF:FFFF:5555:5555:5555:5555:5555".
        (IpAddr::V6(a), IpAddr::V6(b)) => Some(of_octets(a.octets(), b.octets(), 6)),
        _ => None,
    }
}

/// The priority of two addresses that differ, of which at least the first `whole` bytes count in full.
fn of_octets<const N: usize>(mut a: [u8; N], mut b: [u8; N], whole: usize) -> u32 {
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    for at in whole.max(same + 1)..N {
        a[at] &= 0x55;
        b[at] &= 0x55;
    }
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    let mut digest = CRC32C.digest();
    digest.update(&first);
    digest.update(&second);
    digest.finalize()
}

/// Where others see us. "The client should always derive its own IP part from the IP address that the peer sees it as
/// ... The client can use an IP address given via BEP 10 as a hint, but should not blindly trust it": what most say
/// counts.
#[derive(Clone, Copy, Debug)]
pub struct OwnAddress {
    v4: Option<(IpAddr, u8)>,
    v6: Option<(IpAddr, u8)>,
    port: u16,
}

impl OwnAddress {
    /// Us, listening at `port`, and where that is if it is known.
    pub fn new(ip: Option<IpAddr>, port: u16) -> Self {
        let mut own = Self { v4: None, v6: None, port };
        ip.filter(|ip| !ip.is_unspecified()).into_iter().for_each(|ip| own.vote(ip));
        own
    }

    /// A peer says that it sees us at `ip`: one vote (Boyer and Moore's majority vote).
    pub fn vote(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        let seat = if ip.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        *seat = match *seat {
            Some((seen, votes)) if seen == ip => Some((seen, (votes + 1).min(MAX_VOTES))),
            Some((seen, votes)) if votes > 1 => Some((seen, votes - 1)),
            _ => Some((ip, 1)),
        };
    }

    /// Whether `addr` is where we listen.
    pub fn is(&self, addr: SocketAddr) -> bool {
        self.facing(addr).is_some_and(|own| own == SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }

    /// The priority of a connection to `peer`; `None` while we do not know our own address.
    pub fn priority_of(&self, peer: SocketAddr) -> Option<u32> {
        canonical_priority(self.facing(peer)?, peer)
    }

    /// Our address in the family of `peer`.
    fn facing(&self, peer: SocketAddr) -> Option<SocketAddr> {
        let seat = if peer.ip().to_canonical().is_ipv4() { self.v4 } else { self.v6 };
        seat.map(|(ip, _)| SocketAddr::new(ip, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn priority(a: &str, b: &str) -> u32 {
        let one_way = canonical_priority(addr(a), addr(b)).unwrap();
        assert_eq!(canonical_priority(addr(b), addr(a)), Some(one_way), "the same from both ends");
        one_way
    }

    #[test]
    fn agrees_with_the_examples_of_bep_40() {
        assert_eq!(priority("123.213.32.10:1", "98.76.54.32:2"), 0xec2d7224);
        assert_eq!(priority("123.213.32.10:1", "123.213.32.234:2"), 0x99568189);
    }

    #[test]
    fn the_more_two_addresses_share_the_less_is_masked() {
        for (a, b, hashed) in [
            // As in libtorrent's test_peer_priority.cpp.
            ("230.12.123.3:1234", "230.12.123.3:300", "012c04d2"),
            ("230.12.123.1:1234", "230.12.123.3:300", "e60c7b01e60c7b03"),
            ("230.12.23.1:1234", "230.12.123.3:300", "e60c1701e60c7b01"),
            ("230.120.23.1:1234", "230.12.123.3:300", "e60c5101e6781501"),
            ("[::ffff:230.12.123.1]:1234", "230.12.123.3:300", "e60c7b01e60c7b03"),
            ("[ffff::1]:1234", "[ffff::1]:300", "012c04d2"),
            (
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                "[ffff:0fff:ffff:ffff:ffff:ffff:ffff:ffff]:2",
                "ffff0fffffff55555555555555555555ffffffffffff55555555555555555555",
            ),
            (
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                "[ffff:ffff:ffff:0fff:ffff:ffff:ffff:ffff]:2",
                "ffffffffffff0f555555555555555555ffffffffffffff555555555555555555",
            ),
            (
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                "[ffff:ffff:ffff:ff0f:ffff:ffff:ffff:ffff]:2",
                "ffffffffffffff0f5555555555555555ffffffffffffffff5555555555555555",
            ),
        ] {
            let bytes: Vec<u8> = (0..hashed.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hashed[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(priority(a, b), CRC32C.checksum(&bytes), "{a}, {b}");
        }
        assert_eq!(canonical_priority(addr("1.2.3.4:5"), addr("[::1]:5")), None);
    }

    #[test]
    fn what_most_say_is_our_address() {
        let mut own = OwnAddress::new(Some("0.0.0.0".parse().unwrap()), 6881);
        assert_eq!(own.priority_of(addr("10.0.0.1:1")), None);
        for ip in ["1.1.1.1", "9.9.9.9", "1.1.1.1", "::1", "1.1.1.1", "9.9.9.9"] {
            own.vote(ip.parse().unwrap());
        }
        assert!(
            own.is(addr("1.1.1.1:6881"))
                && own.is(addr("[::1]:6881"))
                && own.is(addr("[::ffff:1.1.1.1]:6881"))
        );
        assert!(!own.is(addr("1.1.1.1:6882")) && !own.is(addr("9.9.9.9:6881")));
        (0..1000).for_each(|_| own.vote("1.1.1.1".parse().unwrap()));
        (0..=MAX_VOTES).for_each(|_| own.vote("8.8.8.8".parse().unwrap()));
        assert!(own.is(addr("8.8.8.8:6881")), "an address that changed is noticed");
    }
}
