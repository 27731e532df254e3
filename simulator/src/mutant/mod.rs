//! Nodes that misbehave: a [`Mutant`] is a node whose inputs and outputs pass through a [`Rule`] that may drop, delay,
//! repeat, rewrite or add to them. The node itself is the real engine and knows nothing of it, so no fault needs a
//! switch in the engine. Several rules are mutants of mutants.
//!
//! What a node serves does not pass through it ([`Output::SendBlock`] names it, the driver reads and sends it), so
//! wrong bytes are made where they are read: see [`Pollution`].
//!
//! ```
//! use torrentlab_engine::node::Output;
//! use torrentlab_engine::wire::Message;
//! use torrentlab_simulator::mutant::{Mutant, OnOutput, Relay};
//! # fn make(torrent: Box<dyn torrentlab_engine::node::Node>) -> impl torrentlab_engine::node::Node {
//! // Never says that it is interested.
//! Mutant::new(torrent, OnOutput(|output: Output, relay: &mut Relay| match output {
//!     Output::Send { message: Message::Interested, .. } => (),
//!     other => relay.to_driver(other),
//! }))
//! # }
//! ```

mod liar;
mod pollution;
mod stall;
mod under_reporter;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use torrentlab_engine::node::{Input, Misuse, Node, Outbox, Output};
use torrentlab_engine::state::NodeState;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::ConnId;
use torrentlab_engine::wire::Message;

pub use liar::{Answer, Liar};
pub use pollution::{Pollution, Spoils};
pub use stall::Stall;
pub use under_reporter::UnderReporter;

/// What becomes of a node's inputs and outputs. What is not handed on is dropped.
pub trait Rule: Send {
    /// Something happened to the node. [`Input::Timeout`] does not come here.
    fn input(&mut self, input: Input, relay: &mut Relay) {
        relay.to_node(input);
    }

    /// The node wants something done. An [`Output::Broadcast`] comes as one [`Output::Send`] for each of its targets.
    fn output(&mut self, output: Output, relay: &mut Relay) {
        relay.to_driver(output);
    }

    /// The handshake on `conn` is done, and the node has said what it has.
    fn opened(&mut self, conn: ConnId, relay: &mut Relay) {
        let _ = (conn, relay);
    }

    /// The rule holds from now on.
    fn begin(&mut self, relay: &mut Relay) {
        let _ = relay;
    }

    /// The rule holds no more: the last chance to hand on what it kept.
    fn end(&mut self, relay: &mut Relay) {
        let _ = relay;
    }

    /// When [`Rule::wake`] is to be called, for rules that do something by themselves.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// The time of [`Rule::due`] has come.
    fn wake(&mut self, relay: &mut Relay) {
        let _ = relay;
    }
}

/// A rule for outputs alone.
pub struct OnOutput<F>(pub F);

impl<F: FnMut(Output, &mut Relay) + Send> Rule for OnOutput<F> {
    fn output(&mut self, output: Output, relay: &mut Relay) {
        (self.0)(output, relay);
    }
}

/// A rule for inputs alone.
pub struct OnInput<F>(pub F);

impl<F: FnMut(Input, &mut Relay) + Send> Rule for OnInput<F> {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        (self.0)(input, relay);
    }
}

/// Where a rule hands things on to, and what it may know.
#[derive(Debug, Default)]
pub struct Relay {
    now: Instant,
    inputs: VecDeque<Input>,
    outputs: Vec<Output>,
    /// By time, and in order of coming where that is the same.
    later: BTreeMap<(Instant, u64), Later>,
    count: u64,
    conns: Conns,
}

#[derive(Debug)]
enum Later {
    Input(Input),
    Output(Output),
}

impl Relay {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The connections on which the handshake is done, in order.
    pub fn open_conns(&self) -> Vec<ConnId> {
        self.conns.open.iter().copied().collect()
    }

    /// Tells the node.
    pub fn to_node(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    /// Has the driver do it.
    pub fn to_driver(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Tells the node `delay` from now, whether the rule still holds by then or not.
    pub fn to_node_after(&mut self, delay: Duration, input: Input) {
        self.hold(delay, Later::Input(input));
    }

    /// Has the driver do it `delay` from now, whether the rule still holds by then or not.
    pub fn to_driver_after(&mut self, delay: Duration, output: Output) {
        self.hold(delay, Later::Output(output));
    }

    fn hold(&mut self, delay: Duration, what: Later) {
        self.count += 1;
        self.later.insert((self.now + delay, self.count), what);
    }

    /// Hands on what was held until now.
    fn release(&mut self) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Later::Input(input) => self.inputs.push_back(input),
                Later::Output(output) => self.outputs.push(output),
            }
        }
    }
}

/// How far connections are.
#[derive(Debug, Default)]
struct Conns {
    /// Peer ids that were sent, and that came.
    sent: BTreeSet<ConnId>,
    came: BTreeSet<ConnId>,
    open: BTreeSet<ConnId>,
}

impl Conns {
    fn on_input(&mut self, input: &Input) {
        match input {
            Input::Message { conn, message: Message::PeerId(_) } => _ = self.came.insert(*conn),
            Input::Closed { conn, .. } => self.forget(*conn),
            _ => (),
        }
    }

    fn on_output(&mut self, output: &Output) {
        match output {
            Output::Send { conn, message: Message::PeerId(_) } => _ = self.sent.insert(*conn),
            Output::Close { conn, .. } => self.forget(*conn),
            _ => (),
        }
    }

    /// A connection whose handshake is done since the last call.
    fn next_opened(&mut self) -> Option<ConnId> {
        let conn = self.sent.intersection(&self.came).next().copied()?;
        self.forget(conn);
        self.open.insert(conn);
        Some(conn)
    }

    fn forget(&mut self, conn: ConnId) {
        for set in [&mut self.sent, &mut self.came, &mut self.open] {
            set.remove(&conn);
        }
    }
}

/// When the rule holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Before,
    During,
    After,
}

/// A node under a rule.
#[derive(Debug)]
pub struct Mutant<N, R> {
    node: N,
    rule: R,
    from: Instant,
    until: Instant,
    phase: Phase,
    relay: Relay,
    /// Lent to the node.
    outbox: Outbox,
    outputs: Vec<Output>,
}

impl<N: Node, R: Rule> Mutant<N, R> {
    /// `node` under `rule`, which always holds.
    pub fn new(node: N, rule: R) -> Self {
        Self {
            node,
            rule,
            from: Instant::ZERO,
            until: Instant::NEVER,
            phase: Phase::Before,
            relay: Relay::default(),
            outbox: Outbox::default(),
            outputs: Vec::new(),
        }
    }

    /// Has the rule hold from `from` until `until` alone.
    pub fn during(self, from: Instant, until: Instant) -> Self {
        Self { from, until, ..self }
    }

    /// The node itself.
    pub fn node(&self) -> &N {
        &self.node
    }

    fn switch(&mut self, now: Instant) {
        if self.phase == Phase::Before && now >= self.from {
            self.phase = Phase::During;
            self.rule.begin(&mut self.relay);
        }
        if self.phase == Phase::During && now >= self.until {
            self.phase = Phase::After;
            self.rule.end(&mut self.relay);
        }
    }

    fn next_switch(&self) -> Instant {
        match self.phase {
            Phase::Before => self.from,
            Phase::During => self.until,
            Phase::After => Instant::NEVER,
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        if self.phase == Phase::During && self.rule.due().is_some_and(|due| due <= now) {
            self.rule.wake(&mut self.relay);
        }
        if self.node.poll_timeout().is_some_and(|due| due <= now) {
            self.relay.to_node(Input::Timeout);
        }
    }

    /// Tells the node what is to be told, and lets the rule have what it wants done.
    fn settle(&mut self, now: Instant) -> Result<(), Misuse> {
        while let Some(input) = self.relay.inputs.pop_front() {
            self.relay.conns.on_input(&input);
            self.node.handle(now, input, &mut self.outbox)?;
            let mut outputs = std::mem::take(&mut self.outputs);
            self.outbox.take(&mut outputs);
            for output in outputs.drain(..) {
                match output {
                    Output::Broadcast { piece, targets } => {
                        for at in targets {
                            let conn = self.outbox.targets(at..at + 1)[0];
                            self.on_output(Output::Send { conn, message: Message::Have(piece) });
                        }
                    }
                    other => self.on_output(other),
                }
            }
            self.outputs = outputs;
            self.outbox.clear();
            while let Some(conn) = self.relay.conns.next_opened() {
                if self.phase == Phase::During {
                    self.rule.opened(conn, &mut self.relay);
                }
            }
        }
        Ok(())
    }

    fn on_output(&mut self, output: Output) {
        self.relay.conns.on_output(&output);
        match self.phase {
            Phase::During => self.rule.output(output, &mut self.relay),
            _ => self.relay.to_driver(output),
        }
    }
}

impl<N: Node, R: Rule> Node for Mutant<N, R> {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        self.relay.now = now;
        self.switch(now);
        self.relay.release();
        match input {
            Input::Timeout => self.on_timeout(now),
            Input::Shutdown => {
                // A node that was shut down does nothing more, and nor does its rule.
                (self.phase, self.relay.later) = (Phase::After, BTreeMap::new());
                self.relay.to_node(Input::Shutdown);
            }
            input if self.phase == Phase::During => self.rule.input(input, &mut self.relay),
            input => self.relay.to_node(input),
        }
        self.settle(now)?;
        self.relay.outputs.drain(..).for_each(|output| out.push(output));
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let due = (self.phase == Phase::During).then(|| self.rule.due()).flatten();
        let held = self.relay.later.first_key_value().map(|((at, _), _)| *at);
        let switch = Some(self.next_switch()).filter(|at| *at < Instant::NEVER);
        [self.node.poll_timeout(), due, held, switch].into_iter().flatten().min()
    }

    fn state(&self, now: Instant) -> Option<NodeState> {
        self.node.state(now)
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::node::Disconnect;
    use torrentlab_engine::units::{ConnSlots, PieceIndex};

    use super::*;

    /// Answers each `have` with a request to close the connection, and notes when it is woken.
    #[derive(Default)]
    struct Simple {
        wakes_at: Option<Instant>,
        seen: Vec<(u64, String)>,
    }

    impl Node for Simple {
        fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
            self.seen.push((now.as_nanos(), format!("{input:?}").chars().take(9).collect()));
            match input {
                Input::Timeout => self.wakes_at = None,
                Input::Message { conn, .. } => {
                    out.broadcast(PieceIndex(1), [conn, conn]);
                    out.push(Output::Close { conn, why: Disconnect::Full });
                }
                _ => (),
            }
            Ok(())
        }

        fn poll_timeout(&self) -> Option<Instant> {
            self.wakes_at
        }
    }

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn have() -> Input {
        Input::Message { conn: ConnSlots::default().open(), message: Message::Have(PieceIndex(0)) }
    }

    /// What is to be done after each input, in short.
    fn play<R: Rule>(mutant: &mut Mutant<Simple, R>, inputs: Vec<(u64, Input)>) -> Vec<(u64, String)> {
        let (mut told, mut out) = (Vec::new(), Outbox::default());
        for (nanos, input) in inputs {
            mutant.handle(at(nanos), input, &mut out).unwrap();
            let words = out.outputs().iter().map(|output| format!("{output:?}").chars().take(5).collect());
            told.extend(words.map(|word| (nanos, word)));
            out.clear();
        }
        told
    }

    fn words(told: &[(u64, String)]) -> Vec<(u64, &str)> {
        told.iter().map(|(at, word)| (*at, word.as_str())).collect()
    }

    #[test]
    fn outputs_are_dropped_repeated_and_late() {
        let rule = OnOutput(|output: Output, relay: &mut Relay| match output {
            Output::Send { .. } => relay.to_driver_after(Duration::from_nanos(5), output),
            other => (0..2).for_each(|_| relay.to_driver(other.clone())),
        });
        let mut mutant = Mutant::new(Simple::default(), rule);
        let told = play(&mut mutant, vec![(10, have()), (14, Input::Timeout)]);
        assert_eq!(words(&told), [(10, "Close"), (10, "Close")]);
        assert_eq!(mutant.poll_timeout(), Some(at(15)));
        let told = play(&mut mutant, vec![(15, Input::Timeout)]);
        assert_eq!(words(&told), [(15, "Send "), (15, "Send ")], "a broadcast is a message to each");
        assert_eq!(mutant.poll_timeout(), None);
        assert_eq!(mutant.node().seen.len(), 1, "the node is not woken when it did not ask for it");
    }

    #[test]
    fn inputs_are_held_back_but_not_the_nodes_own_time() {
        let rule = OnInput(|input, relay: &mut Relay| relay.to_node_after(Duration::from_nanos(7), input));
        let node = Simple { wakes_at: Some(at(12)), ..Simple::default() };
        let mut mutant = Mutant::new(node, rule);
        play(&mut mutant, vec![(0, Input::Timeout), (10, have())]);
        assert_eq!(mutant.poll_timeout(), Some(at(12)));
        let told = play(&mut mutant, vec![(12, Input::Timeout), (17, Input::Timeout)]);
        assert_eq!(words(&told), [(17, "Send "), (17, "Send "), (17, "Close")]);
        assert_eq!(words(&mutant.node().seen), [(12, "Timeout"), (17, "Message {")]);
    }

    #[test]
    fn a_rule_holds_from_its_beginning_to_its_end_and_is_woken_in_between() {
        struct Noisy;
        impl Rule for Noisy {
            fn output(&mut self, _: Output, _: &mut Relay) {}
            fn begin(&mut self, relay: &mut Relay) {
                relay.to_driver(Output::CheckPiece { piece: PieceIndex(0), digests: false });
            }
            fn end(&mut self, relay: &mut Relay) {
                relay.to_driver(Output::Dial("10.0.0.1:1".parse().unwrap()));
            }
            fn due(&self) -> Option<Instant> {
                Some(at(15))
            }
            fn wake(&mut self, relay: &mut Relay) {
                relay.to_driver(Output::Close { conn: ConnSlots::default().open(), why: Disconnect::Remote });
            }
        }
        let mut mutant = Mutant::new(Simple::default(), Noisy).during(at(10), at(20));
        assert_eq!(words(&play(&mut mutant, vec![(9, have())])), [(9, "Send "), (9, "Send "), (9, "Close")]);
        assert_eq!(mutant.poll_timeout(), Some(at(10)));
        assert_eq!(words(&play(&mut mutant, vec![(10, Input::Timeout), (11, have())])), [(10, "Check")]);
        assert_eq!(mutant.poll_timeout(), Some(at(15)));
        assert_eq!(words(&play(&mut mutant, vec![(15, Input::Timeout)])), [(15, "Close")]);
        let told = play(&mut mutant, vec![(20, have())]);
        assert_eq!(words(&told), [(20, "Dial("), (20, "Send "), (20, "Send "), (20, "Close")]);
        assert_eq!(mutant.poll_timeout(), None);
    }
}
