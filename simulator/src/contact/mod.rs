//! A swarm of theory under way: hosts that meet and pass whole pieces on, without links, protocol or choking.
//!
//! | file | its part |
//! |---|---|
//! | `crowd` | sets of hosts to draw from |
//! | `random` | contacts at random times |
//! | `slotted` | slots in which each host sends one piece |
//!
//! A picker is one of the engine's, and its view is what theory assumes: everybody is a neighbour. Of a host that
//! meets another it sees what that one has and it lacks itself.

mod crowd;
mod random;
mod slotted;

#[cfg(test)]
mod tests;

use std::ops::Deref;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{Availability, Change, PeerView, Picker, SwarmView};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{Block, ConnId, ConnSlots, Geometry, PieceIndex};
use torrentlab_engine::why::Why;
use torrentlab_reports::record::Tick;
use torrentlab_scenarios::Scenario;
use torrentlab_scenarios::schema::{Behaviour, Contacts, HostClass};

use crate::attendance::{Attendance, Due};
use crate::fault::Faults;
use crate::ledger::{Fact, Ledger};
use crate::plan::{HostPlan, Plan, addr_of};
use crate::player::Player;
use crate::queue::Queue;
use crate::registry::{PickerSetup, Registry};
use crate::simulation::Simulation;
use crate::trace::{Passage, Trace};
use crate::watch::Sight;
use crowd::Crowd;
use slotted::Sending;

/// A swarm under way.
pub struct Swarm {
    model: Contacts,
    geometry: Geometry,
    queue: Queue<Event>,
    hosts: Vec<Host>,
    /// Hosts present.
    present: Crowd,
    /// Hosts present that came for the content.
    receivers: Crowd,
    /// Copies of each piece among the hosts present. No piece is ever closed: what a host has and what is on its way
    /// differs from host to host.
    availability: Availability,
    /// What is sent in the slot under way.
    sendings: Vec<Sending>,
    /// The order in which hosts have their turn in a slot.
    turns: Dice,
    /// The name in the ledger of the one contact at a time.
    conn: ConnId,
    ledger: Ledger,
    trace: Trace,
    attendance: Attendance,
    faults: Faults,
    now: Instant,
    events: u64,
}

struct Host {
    have: Bitfield,
    /// What it has and what is on its way to it.
    due: Bitfield,
    role: Role,
    picker: Box<dyn Picker>,
    /// For its picker.
    picks: Dice,
    /// For when it makes contact, and with whom.
    contacts: Dice,
}

/// What a host is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Seed,
    Leecher,
    /// Sends nothing.
    FreeRider,
}

/// What happens at a time.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A host comes.
    Join(u32),
    /// A host's stay may end.
    Look(u32),
    /// The clock of a host strikes, in the stay that is its so manyth.
    Contact { host: u32, session: u32 },
    /// A slot is over: what was sent in it is there.
    SlotEnds,
    /// A slot begins, once those who leave have left.
    SlotBegins,
}

impl Swarm {
    /// A swarm at its start. The strategies of `scenario` are known to be in `registry`.
    pub fn new(model: Contacts, plan: Plan<'_>, scenario: &Scenario, registry: &Registry) -> Self {
        let Plan { config, classes, hosts, trace, .. } = plan;
        let geometry = config.content.geometry();
        let stream = |purpose| Dice::stream(config.seed, ("contacts", 0, purpose));
        let mut swarm = Self {
            model,
            geometry,
            queue: Queue::default(),
            hosts: Vec::new(),
            present: Crowd::default(),
            receivers: Crowd::default(),
            availability: Availability::new(geometry.pieces(), &mut stream("pieces")),
            sendings: Vec::new(),
            turns: stream("turns"),
            conn: ConnSlots::default().open(),
            ledger: Ledger::new(geometry, config.census.clone()),
            trace,
            attendance: Attendance::new(config.seed, classes),
            faults: Faults::default(),
            now: Instant::ZERO,
            events: 0,
        };
        let of: Vec<(&String, &HostClass)> = scenario.hosts.iter().collect();
        for plan in hosts {
            let (name, class) = of[usize::from(plan.class)];
            let setup = PickerSetup {
                now: plan.arrival,
                geometry,
                census: config.census.clone(),
                player: class.playback.map(|playback| Player::of(scenario, &playback)),
                complaints: config.complaints.clone(),
            };
            let mut picker = registry.picker(&class.picker, &setup).expect("strategies are checked before");
            if let Some(explain) = &config.explain {
                picker = explain.picker(swarm.hosts.len() as u32, picker);
            }
            let dice = |purpose| Dice::stream(config.seed, (name, u64::from(plan.index), purpose));
            swarm.add(plan.clone(), class.behaviour, picker, [dice("picker"), dice("contacts")]);
        }
        if let Contacts::Slotted(_) = model {
            swarm.queue.push(Instant::ZERO, Event::SlotBegins);
        }
        swarm
    }

    fn add(&mut self, plan: HostPlan, behaviour: Behaviour, picker: Box<dyn Picker>, dice: [Dice; 2]) {
        let host = self.hosts.len() as u32;
        if let Some(at) = self.attendance.add(&plan) {
            self.queue.push(at, Event::Join(host));
        }
        self.ledger.open(plan.class, &plan.have, plan.watches);
        let [picks, contacts] = dice;
        let role = match behaviour {
            Behaviour::Seed => Role::Seed,
            // What a host says it has is no matter here: such a class is refused.
            Behaviour::Normal | Behaviour::UnderReporter => Role::Leecher,
            Behaviour::FreeRider => Role::FreeRider,
        };
        self.hosts.push(Host { due: plan.have.clone(), have: plan.have, role, picker, picks, contacts });
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Join(host) => self.join(host),
            Event::Look(host) => self.look(host),
            Event::Contact { host, session } => self.on_contact(host, session),
            Event::SlotEnds => self.end_slot(),
            Event::SlotBegins => self.begin_slot(),
        }
    }

    fn join(&mut self, host: u32) {
        let Some(ends) = self.attendance.join(host, self.now) else { return };
        let state = &self.hosts[host as usize];
        self.availability.add_peer(&state.have);
        self.present.insert(host);
        if state.role != Role::Seed {
            self.receivers.insert(host);
        }
        self.trace.passage(self.now, host, Passage::Came);
        self.trace.came(self.now, host, addr_of(host), &self.hosts[host as usize].have);
        self.note(host, &Fact::Joined);
        self.plan_look(host, Some(ends));
        self.plan_contact(host);
    }

    fn look(&mut self, host: u32) {
        match self.attendance.look(host, self.now) {
            Due::Nothing => {}
            Due::Later(at) => self.plan_look(host, Some(at)),
            Due::Leaves { for_good } => self.leave(host, for_good),
        }
    }

    fn leave(&mut self, host: u32, for_good: bool) {
        self.break_off(host);
        let state = &self.hosts[host as usize];
        self.availability.remove_peer(&state.have);
        self.present.remove(host);
        if state.role != Role::Seed {
            self.receivers.remove(host);
        }
        self.trace.passage(self.now, host, Passage::Went);
        self.trace.went(self.now, host);
        let how = self.attendance.class(host).how;
        self.note(host, &Fact::Left { for_good, how });
        if let Some(back) = self.attendance.left(host, for_good, self.now) {
            self.queue.push(back, Event::Join(host));
        }
    }

    /// The piece that `to` would have of `from`; `None` if there is none that it lacks.
    fn choose(&mut self, from: u32, to: u32) -> Option<PieceIndex> {
        let offered = self.hosts[from as usize].have.without(&self.hosts[to as usize].due);
        if offered.count() == 0 {
            return None;
        }
        let Host { have, picker, picks, .. } = &mut self.hosts[to as usize];
        let why = Why::default();
        let view = SwarmView { have, availability: &self.availability, now: self.now, why };
        let peer = PeerView { addr: addr_of(from), has: &offered, rate_down: 0 };
        let mut picked = Vec::with_capacity(1);
        picker.pick(&view, &peer, 1, picks, &mut picked);
        let piece = picked.first().copied()?;
        assert!(offered.has(piece), "a picker picked piece {piece}, which was not on offer");
        picker.on_change(&Change::Begun(piece));
        Some(piece)
    }

    /// A piece goes over from one host to another that lacks it.
    fn pass(&mut self, from: u32, to: u32, piece: PieceIndex) {
        self.trace.passage(self.now, to, Passage::Received { from, piece });
        let state = &mut self.hosts[to as usize];
        state.due.insert(piece);
        assert!(state.have.insert(piece), "host {to} had piece {piece}");
        state.picker.on_change(&Change::Got(piece));
        self.availability.add_have(piece, &state.have);
        let full = state.have.is_full();
        let (conn, bytes) = (self.conn, self.geometry.len_of(piece));
        self.note(to, &Fact::Connected { conn, peer: from });
        let block = Some(Block { piece, begin: 0, len: bytes });
        self.note(to, &Fact::BlockReceived { conn, block, bytes, duplicate: false });
        self.note(to, &Fact::Verified { piece });
        self.note(to, &Fact::Closed { conn });
        if full {
            let leaves = self.attendance.completed(to, self.now);
            self.plan_look(to, leaves);
        }
        let served = self.ledger.hosts[from as usize].payload_up;
        let leaves = self.attendance.served(from, served, self.now);
        self.plan_look(from, leaves);
    }

    fn note(&mut self, host: u32, fact: &Fact) {
        self.ledger.note(self.now, host, &self.hosts[host as usize].have, fact);
    }

    fn plan_look(&mut self, host: u32, at: Option<Instant>) {
        if let Some(at) = at.filter(|&at| at < Instant::NEVER) {
            self.queue.push(at, Event::Look(host));
        }
    }
}

impl Sight for Swarm {
    /// Payload alone: there is no protocol.
    fn wire_bytes(&self, host: u32) -> (u64, u64) {
        let account = &self.ledger.hosts[host as usize];
        (account.payload_up, account.payload_down)
    }

    fn distributed_copies(&self) -> f64 {
        self.ledger.distributed_copies()
    }
}

impl Simulation for Swarm {
    const STEPS_PER_LOOK: u64 = 1 << 12;

    fn step(&mut self, until: Instant) -> bool {
        match self.queue.pop_by(until) {
            Some((now, event)) => {
                self.now = self.now.max(now);
                self.events += 1;
                self.carry_out(event);
                true
            }
            None => {
                self.now = self.now.max(until);
                false
            }
        }
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn events(&self) -> u64 {
        self.events
    }

    fn ledger(&self) -> impl Deref<Target = Ledger> {
        &self.ledger
    }

    fn recounted_copies(&self) -> f64 {
        self.trace.distributed_copies()
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn announces(&self) -> u64 {
        0
    }

    fn to_come(&self) -> u32 {
        self.attendance.to_come()
    }

    fn unfinished(&self) -> u32 {
        self.attendance.unfinished()
    }

    /// No bytes are carried that could differ.
    fn corrupt(&self) -> u32 {
        0
    }

    fn check_invariants(&self) {
        self.availability.check_invariants();
        let mut copies = vec![0; self.geometry.pieces() as usize];
        for &host in self.present.hosts() {
            assert!(self.attendance.is_present(host), "host {host} has left and can be met");
            self.hosts[host as usize].have.iter().for_each(|piece| copies[piece.get()] += 1);
        }
        assert_eq!(self.ledger.census.copies(), copies, "copies by the ledger, and counted");
        for (piece, &copies) in (0..).map(PieceIndex).zip(&copies) {
            assert_eq!(self.availability.copies_of(piece), copies, "copies of piece {piece}");
        }
        for (host, account) in self.hosts.iter().zip(&self.ledger.hosts) {
            let received = host.have.count() - account.initial_pieces;
            assert_eq!(account.blocks, u64::from(received), "each piece comes once");
        }
        let sent: u64 = self.ledger.hosts.iter().map(|account| account.payload_up).sum();
        assert_eq!(sent, self.ledger.payload, "what was sent came");
    }

    fn finish_accounts(&mut self) {
        self.ledger.finish(self.now);
    }

    fn with_trace<T>(&mut self, act: impl FnOnce(&mut Trace) -> T) -> T {
        act(&mut self.trace)
    }

    fn tick(&self) -> Option<Tick> {
        None
    }
}
