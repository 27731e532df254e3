//! One direction of a connection: what its sender may send, and what its receiver may read.

use std::collections::VecDeque;
use std::task::Waker;

use torrentlab_engine::time::{Duration, Instant};

use super::fault::Stop;
use crate::link::{End, Tcp};

#[derive(Debug)]
pub(super) struct Flow {
    pub from: u32,
    pub to: u32,
    pub latency: Duration,
    /// When the application at the sender's end has the connection.
    pub opens: Instant,
    pub sender: Sender,
    pub receiver: Receiver,
    /// What is known of it while its path is blocked or held, or that of its acknowledgements.
    pub stop: Option<Box<Stop>>,
    /// Streams, events and landings that name this flow; [`FREE`] where there is none.
    pub held: u32,
}

/// Of a flow that is no more.
pub(super) const FREE: u32 = u32::MAX;

/// The end at which bytes go in.
#[derive(Debug)]
pub(super) struct Sender {
    pub state: State,
    /// Bytes taken in from the application that have not begun to leave.
    pub buffered: u64,
    /// Those of them that the uplink knows of.
    pub waiting: u64,
    /// How it ends when those are gone.
    pub ending: Option<End>,
    /// Whether its end has begun to leave.
    pub ended: bool,
    /// The segment on the uplink or waiting for room, where `state` says that there is one.
    pub segment: Segment,
    /// Bytes that may be in flight: the congestion window, which slow start opens up to `window`.
    cwnd: u64,
    /// The receive window.
    window: u64,
    /// Bytes that have begun to leave and are not acknowledged.
    in_flight: u64,
    /// Acknowledgements on their way back: when they are there, and for how many bytes.
    credits: VecDeque<(Instant, u32)>,
    /// Whether it will be told when the first of these is back.
    pub credit_planned: bool,
    /// When the last segment lands: no later one lands before it.
    pub lands: Instant,
    /// The jitter of this run of segments, and its bytes so far.
    pub jitter: Duration,
    pub run: u32,
    /// Whether its path is blocked or held, or that of its acknowledgements.
    pub stopped: bool,
    /// The application has said that no more comes.
    pub shut: bool,
    /// Nobody takes the bytes any more.
    pub broken: bool,
    pub waker: Option<Waker>,
}

/// The end at which bytes come out.
#[derive(Debug)]
pub(super) struct Receiver {
    /// Whether somebody is there to read.
    pub open: bool,
    /// Bytes that are through the downlink, or known to be so at that time.
    pub arrived: VecDeque<(Instant, u32)>,
    /// The sum of these.
    pub unread: u64,
    /// How it ends, and when.
    pub end: Option<(Instant, End)>,
    /// Segments that are not acknowledged yet.
    pub unacked: u32,
    /// Bytes that are acknowledged when the application has read what was there before.
    pub withheld: VecDeque<(Instant, u32)>,
    pub waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing waits.
    Idle,
    /// It waits for its turn on the uplink.
    Queued,
    /// A segment is on the uplink.
    Serving,
    /// The window is full.
    Window,
    /// A segment waits for room before the receiver's downlink.
    Room,
    /// The path is blocked or held.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub bytes: u32,
    pub end: Option<End>,
}

impl Flow {
    pub fn new(from: u32, to: u32, latency: Duration, window: u32, opens: Instant, tcp: &Tcp) -> Self {
        let window = u64::from(window.max(tcp.mss));
        let sender = Sender {
            state: State::Idle,
            buffered: 0,
            waiting: 0,
            ending: None,
            ended: false,
            segment: Segment { bytes: 0, end: None },
            cwnd: initial_window(window, tcp),
            window,
            in_flight: 0,
            credits: VecDeque::new(),
            credit_planned: false,
            lands: Instant::ZERO,
            jitter: Duration::ZERO,
            run: 0,
            stopped: false,
            shut: false,
            broken: false,
            waker: None,
        };
        let receiver = Receiver {
            open: true,
            arrived: VecDeque::new(),
            unread: 0,
            end: None,
            unacked: 0,
            withheld: VecDeque::new(),
            waker: None,
        };
        Self { from, to, latency, opens, sender, receiver, stop: None, held: 1 }
    }

    /// A segment is through at `through`: it can be read then, and its acknowledgement is back a latency later. What
    /// the application leaves unread beyond the window is acknowledged when it has read on.
    pub fn arrive(&mut self, through: Instant, bytes: u32) {
        let Receiver { arrived, unread, withheld, .. } = &mut self.receiver;
        let full = *unread > self.sender.window || self.sender.stopped;
        arrived.push_back((through, bytes));
        *unread += u64::from(bytes);
        if full || !withheld.is_empty() {
            withheld.push_back((through, bytes));
        } else {
            self.sender.credits.push_back((through + self.latency, bytes));
        }
    }

    /// The application has read `bytes`.
    pub fn read(&mut self, now: Instant, bytes: u64) {
        let Receiver { arrived, unread, .. } = &mut self.receiver;
        *unread -= bytes;
        let mut rest = bytes;
        while rest > 0 {
            let (_, first) = arrived.front_mut().expect("what is read has arrived");
            let taken = rest.min(u64::from(*first));
            rest -= taken;
            *first -= taken as u32;
            if *first == 0 {
                arrived.pop_front();
            }
        }
        if *unread <= self.sender.window && !self.sender.stopped {
            self.acknowledge_withheld(now + self.latency);
        }
    }

    /// What was not acknowledged for want of room or of a path is so at `at`, or a latency after it came.
    pub fn acknowledge_withheld(&mut self, at: Instant) {
        for (through, bytes) in self.receiver.withheld.drain(..) {
            self.sender.credits.push_back((at.max(through + self.latency), bytes));
        }
    }
}

impl Receiver {
    /// Nobody reads any more.
    pub fn close(&mut self) {
        self.open = false;
        self.arrived.clear();
        self.withheld.clear();
        self.unread = 0;
        self.waker = None;
    }
}

impl Sender {
    /// Whether there is something to send, if the window lets it.
    pub fn is_backlogged(&self) -> bool {
        self.waiting > 0 || self.ending.is_some()
    }

    /// Bytes that the window lets go by `until`, as far as acknowledgements are on their way by now. Each may open the
    /// congestion window by as much as it answers.
    pub fn may_leave_by(&self, until: Instant) -> u64 {
        let due = self.credits.iter().take_while(|&&(at, _)| at <= until);
        let back: u64 = due.map(|&(_, bytes)| u64::from(bytes)).sum();
        (self.cwnd + back).min(self.window).saturating_sub(self.in_flight - back)
    }

    /// Whether TCP's retransmission timer runs.
    pub fn waits_for_acknowledgement(&self) -> bool {
        self.in_flight > 0 || self.is_backlogged()
    }

    /// Bytes that were lost wait again.
    pub fn send_again(&mut self, lost: u64) {
        self.in_flight -= lost;
        self.buffered += lost;
        self.waiting += lost;
    }

    /// "The congestion window after a retransmission time-out" is small again (RFC 5681): here the initial one.
    pub fn restart(&mut self, tcp: &Tcp) {
        self.cwnd = initial_window(self.window, tcp);
    }

    /// Takes the next segment, if there is one and the window lets it go.
    pub fn cut(&mut self, now: Instant, mss: u32) -> Option<Segment> {
        self.take_credits(now);
        self.state = State::Idle;
        if self.stopped && self.is_backlogged() {
            self.state = State::Stopped;
            return None;
        }
        if self.waiting == 0 {
            let end = self.ending.take()?;
            self.ended = true;
            return Some(Segment { bytes: 0, end: Some(end) });
        }
        let bytes = self.waiting.min(u64::from(mss));
        if self.in_flight + bytes > self.cwnd {
            self.state = State::Window;
            return None;
        }
        self.waiting -= bytes;
        self.buffered -= bytes;
        self.in_flight += bytes;
        Some(Segment { bytes: bytes as u32, end: None })
    }

    /// When to ask again, if the window is full, that is not planned, and an acknowledgement is on its way.
    pub fn plan_credit(&mut self) -> Option<Instant> {
        if self.state != State::Window || self.credit_planned {
            return None;
        }
        let &(at, _) = self.credits.front()?;
        self.credit_planned = true;
        Some(at)
    }

    /// Sends nothing that has not left, and takes nothing more.
    pub fn give_up(&mut self) {
        self.broken = true;
        self.ending = None;
        self.buffered -= self.waiting;
        self.waiting = 0;
    }

    /// "During slow start, a TCP increments cwnd by at most SMSS bytes for each ACK received that cumulatively
    /// acknowledges new data" (RFC 5681), here by what was acknowledged.
    fn take_credits(&mut self, now: Instant) {
        while let Some((_, bytes)) = self.credits.pop_front_if(|&mut (at, _)| at <= now) {
            self.in_flight -= u64::from(bytes);
            self.cwnd = (self.cwnd + u64::from(bytes)).min(self.window);
        }
    }
}

fn initial_window(window: u64, tcp: &Tcp) -> u64 {
    let mss = u64::from(tcp.mss);
    (mss * u64::from(tcp.initial_window)).clamp(mss, window)
}
