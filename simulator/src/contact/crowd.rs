//! A set of hosts from which one can be drawn.

use torrentlab_engine::dice::Dice;

/// Hosts in no order. Each operation takes constant time.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    hosts: Vec<u32>,
    /// Where each host stands in `hosts`.
    places: Vec<Option<u32>>,
}

impl Crowd {
    pub(super) fn hosts(&self) -> &[u32] {
        &self.hosts
    }

    pub(super) fn insert(&mut self, host: u32) {
        let slots = self.places.len().max(host as usize + 1);
        self.places.resize(slots, None);
        assert!(self.places[host as usize].is_none(), "host {host} comes twice");
        self.places[host as usize] = Some(self.hosts.len() as u32);
        self.hosts.push(host);
    }

    pub(super) fn remove(&mut self, host: u32) {
        let place = self.place(host).expect("who goes is there");
        self.hosts.swap_remove(place);
        self.places[host as usize] = None;
        if let Some(&moved) = self.hosts.get(place) {
            self.places[moved as usize] = Some(place as u32);
        }
    }

    /// One of the others, each as likely as the next.
    pub(super) fn draw_other(&self, than: u32, dice: &mut Dice) -> Option<u32> {
        match self.place(than) {
            None => dice.index(self.hosts.len()).map(|at| self.hosts[at]),
            // The last stands in for `than`.
            Some(own) => {
                let others = self.hosts.len() - 1;
                dice.index(others).map(|at| self.hosts[if at == own { others } else { at }])
            }
        }
    }

    fn place(&self, host: u32) -> Option<usize> {
        self.places.get(host as usize).copied().flatten().map(|place| place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_others_is_drawn_as_often_as_the_next() {
        let mut dice = Dice::stream(1, ("test", 0, "crowd"));
        let mut crowd = Crowd::default();
        (0..6).for_each(|host| crowd.insert(host));
        crowd.remove(1);
        assert_eq!(crowd.hosts(), [0, 5, 2, 3, 4]);
        for than in [0, 4, 1, 9] {
            let mut counts = [0; 6];
            let others = if than < 6 && than != 1 { 4 } else { 5 };
            for _ in 0..1000 * others {
                counts[crowd.draw_other(than, &mut dice).expect("there are others") as usize] += 1;
            }
            for (host, &count) in (0..).zip(&counts) {
                let expected = if host == than || host == 1 { 0..=0 } else { 850..=1150 };
                assert!(expected.contains(&count), "host {host} is drawn {count} times by {than}");
            }
        }
    }

    #[test]
    fn alone_there_is_nobody_to_draw() {
        let mut dice = Dice::stream(1, ("test", 0, "crowd"));
        let mut crowd = Crowd::default();
        assert_eq!(crowd.draw_other(0, &mut dice), None);
        crowd.insert(0);
        assert_eq!(crowd.draw_other(0, &mut dice), None);
        assert_eq!(crowd.draw_other(1, &mut dice), Some(0));
    }
}
