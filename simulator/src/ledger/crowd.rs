//! How large a part of the crowd each class is, over time.

use torrentlab_engine::time::Instant;

/// The leechers present by class, over time: hosts that came for the content and lack a piece.
///
/// For a leecher of class c, the hosts of its own class are (n_c - 1) / (n - 1) of all the other leechers. That part
/// changes when hosts come, complete and go, so it is kept as its integral over time.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// Leechers present of each class, and of all.
    counts: Vec<u32>,
    all: u32,
    /// When the counts changed.
    times: Vec<Instant>,
    /// For each change and each class: the integral up to then, in seconds, and the part from then on.
    parts: Vec<(f64, f64)>,
}

impl Crowd {
    /// Makes room for `class`; before anybody comes.
    pub fn know(&mut self, class: u16) {
        let classes = self.counts.len().max(usize::from(class) + 1);
        self.counts.resize(classes, 0);
    }

    /// A leecher of `class` came.
    pub fn add(&mut self, now: Instant, class: u16) {
        self.counts[usize::from(class)] += 1;
        self.all += 1;
        self.changed(now);
    }

    /// One went, or is no leecher any more.
    pub fn take_away(&mut self, now: Instant, class: u16) {
        self.counts[usize::from(class)] -= 1;
        self.all -= 1;
        self.changed(now);
    }

    /// The integral, in seconds, of the part that `class` is of the others to one of its own.
    pub fn share_s(&self, class: u16, from: Instant, to: Instant) -> f64 {
        self.integral_s(class, to) - self.integral_s(class, from)
    }

    fn changed(&mut self, now: Instant) {
        let classes = self.counts.len();
        let so_far: Vec<f64> = (0..classes as u16).map(|class| self.integral_s(class, now)).collect();
        if self.times.last() == Some(&now) {
            self.parts.truncate(self.parts.len() - classes);
        } else {
            self.times.push(now);
        }
        let others = f64::from(self.all.saturating_sub(1).max(1));
        let part = |count: u32| f64::from(count.saturating_sub(1)) / others;
        self.parts.extend(so_far.into_iter().zip(self.counts.iter().map(|&count| part(count))));
    }

    fn integral_s(&self, class: u16, at: Instant) -> f64 {
        let Some(step) = self.times.partition_point(|&time| time <= at).checked_sub(1) else { return 0.0 };
        let (so_far, part) = self.parts[step * self.counts.len() + usize::from(class)];
        so_far + part * at.since(self.times[step]).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torrentlab_engine::time::Duration;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn the_part_of_a_class_follows_who_is_there() {
        let mut crowd = Crowd::default();
        [0, 1, 2].into_iter().for_each(|class| crowd.know(class));
        // From 10 s on three of class 0 and two of class 1; from 20 s on one of class 1 is gone, and of class 0 one more
        // has come.
        [0, 0, 0, 1, 1].into_iter().for_each(|class| crowd.add(at(10), class));
        crowd.take_away(at(20), 1);
        crowd.add(at(20), 0);
        let close = |class, from, to, expected: f64| {
            let share_s = crowd.share_s(class, at(from), at(to));
            assert!((share_s - expected).abs() < 1e-12, "class {class}, {from} to {to}: {share_s}");
        };
        close(0, 0, 10, 0.0);
        close(0, 10, 20, 10.0 * 2.0 / 4.0);
        close(1, 10, 20, 10.0 * 1.0 / 4.0);
        close(0, 15, 30, 5.0 * 2.0 / 4.0 + 10.0 * 3.0 / 4.0);
        close(1, 15, 30, 5.0 * 1.0 / 4.0);
        close(2, 0, 30, 0.0);
    }
}
