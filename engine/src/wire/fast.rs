//! The allowed fast set (BEP 6).

use std::net::Ipv4Addr;

use sha1::{Digest as _, Sha1};

use crate::units::{InfoHash, PieceIndex};

/// The `k` pieces (or all, if there are fewer) that a peer at `ip` may have without being unchoked: "a canonical
/// algorithm ... based on the IP address of the peer and the torrent's info hash", so that a peer gets the same ones
/// from everyone and has nothing of changing its port (BEP 6).
pub fn allowed_fast_set(ip: Ipv4Addr, info_hash: InfoHash, pieces: u32, k: usize) -> Vec<PieceIndex> {
    let k = k.min(pieces as usize);
    let mut set: Vec<PieceIndex> = Vec::with_capacity(k);
    // "x = 0xFFFFFF00 & ip": hosts of one /24 network get the same set.
    let [a, b, c, _] = ip.octets();
    let mut x = Sha1::new().chain_update([a, b, c, 0]).chain_update(info_hash.0).finalize();
    while set.len() < k {
        for word in x.chunks_exact(4) {
            let index = PieceIndex(u32::from_be_bytes([word[0], word[1], word[2], word[3]]) % pieces);
            if set.len() < k && !set.contains(&index) {
                set.push(index);
            }
        }
        x = Sha1::digest(x);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_examples_of_bep_6() {
        let set = |k| {
            let set = allowed_fast_set(Ipv4Addr::new(80, 4, 4, 200), InfoHash([0xaa; 20]), 1313, k);
            set.into_iter().map(|piece| piece.0).collect::<Vec<_>>()
        };
        assert_eq!(set(7), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(set(9), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    }

    #[test]
    fn a_torrent_of_few_pieces_gives_all_of_them() {
        let mut set = allowed_fast_set(Ipv4Addr::new(1, 2, 3, 4), InfoHash([7; 20]), 3, 10);
        set.sort();
        assert_eq!(set, [PieceIndex(0), PieceIndex(1), PieceIndex(2)]);
    }
}
