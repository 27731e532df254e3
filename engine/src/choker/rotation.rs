//! Whose turn it is.

use super::ChokeEvent;
use crate::dice::Dice;
use crate::units::ConnId;

/// The order in which peers get the slots that are not earned: a queue that newcomers are let into near the head.
#[derive(Debug, Default)]
pub(super) struct Rotation(Vec<ConnId>);

impl Rotation {
    /// The peers, next one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = ConnId> + Clone + '_ {
        self.0.iter().copied()
    }

    /// Lets newcomers in, and those who left out.
    pub(super) fn on_event(&mut self, event: ChokeEvent, dice: &mut Dice) {
        match event {
            ChokeEvent::Joined(conn) => self.join(conn, dice),
            ChokeEvent::Left { conn, .. } => self.leave(conn),
            _ => (),
        }
    }

    /// "Newly connected peers are three times as likely to start as the current optimistic unchoke as anywhere else in
    /// the rotation. This gives them a decent chance of getting a complete piece to upload" (BEP 3).
    fn join(&mut self, conn: ConnId, dice: &mut Dice) {
        let place = dice.below(self.0.len() as u64 + 3).saturating_sub(2);
        self.0.insert(place as usize, conn);
    }

    fn leave(&mut self, conn: ConnId) {
        self.0.retain(|&other| other != conn);
    }

    /// Those who had their turn go to the end, in their order.
    pub(super) fn send_back(&mut self, had_turn: impl Fn(ConnId) -> bool) {
        let back: Vec<_> = self.0.extract_if(.., |conn| had_turn(*conn)).collect();
        self.0.extend(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ConnSlots;

    #[test]
    fn newcomers_start_at_the_head_three_times_as_often_as_elsewhere() {
        let mut dice = Dice::stream(1, ("test", 0, "rotation"));
        let mut slots = ConnSlots::default();
        let others: Vec<_> = (0..7).map(|_| slots.open()).collect();
        let newcomer = slots.open();
        let mut counts = [0; 8];
        for _ in 0..10_000 {
            let mut rotation = Rotation(others.clone());
            rotation.join(newcomer, &mut dice);
            counts[rotation.iter().position(|conn| conn == newcomer).unwrap()] += 1;
        }
        assert!((2850..3150).contains(&counts[0]), "{counts:?}");
        assert!(counts[1..].iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
