//! Addresses in compact form: "The first 4 bytes contain the 32-bit ipv4 address. The remaining two bytes contain the
//! port number" (BEP 23); with 16 bytes of address where that is IPv6 (BEP 7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads IPv4 contacts; `None` where the length is not that of whole ones.
pub fn read_v4(bytes: &[u8]) -> Option<impl ExactSizeIterator<Item = SocketAddr>> {
    let (chunks, []) = bytes.as_chunks::<6>() else { return None };
    Some(chunks.iter().map(|&[a, b, c, d, high, low]| {
        SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
    }))
}

/// Reads IPv6 contacts; `None` where the length is not that of whole ones.
pub fn read_v6(bytes: &[u8]) -> Option<impl ExactSizeIterator<Item = SocketAddr>> {
    let (chunks, []) = bytes.as_chunks::<18>() else { return None };
    Some(chunks.iter().map(|chunk| {
        let ip: [u8; 16] = std::array::from_fn(|n| chunk[n]);
        SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes([chunk[16], chunk[17]]))
    }))
}

/// The contacts of each family in compact form, in order: IPv4, then IPv6.
pub fn write(contacts: impl IntoIterator<Item = SocketAddr>) -> (Vec<u8>, Vec<u8>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for contact in contacts {
        let port = contact.port().to_be_bytes();
        match contact.ip() {
            IpAddr::V4(ip) => v4.extend(ip.octets().into_iter().chain(port)),
            IpAddr::V6(ip) => v6.extend(ip.octets().into_iter().chain(port)),
        }
    }
    (v4, v6)
}
