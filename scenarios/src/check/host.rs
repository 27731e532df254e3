//! What a class of hosts may not say.

use super::rules::{Check, Checked};
use crate::draw::{InitialPieces, Slots, Stay};
use crate::schema::{Arrival, Behaviour, HostClass, HostDisk, Limits, Links, Peers};
use crate::units::{Percent, Size};

/// A block of 16 KiB with its header must fit.
const MIN_SOCKET_BUFFER: Size = Size::from_kib(17);

/// Beyond, CUBIC's mean window is less than four segments: too few for fast retransmit, and the model's formula fails.
const MAX_LOSS: Percent = Percent::from_ppm(100_000);

impl Check<'_> {
    pub(super) fn class(&self, path: &str, class: &HostClass) -> Checked {
        self.class_size(path, class)?;
        self.initial_pieces(path, class)?;
        self.whom(path, class)?;
        self.links(&format!("{path}.links"), &class.links)?;
        if let Some(disk) = &class.disk {
            self.disk(&format!("{path}.disk"), disk)?;
        }
        self.limits(&format!("{path}.limits"), &class.limits)?;
        if let Some(playback) = &class.playback {
            let at = format!("{path}.playback.rate");
            self.flows(playback.rate, &at, "write a rate such as \"1 Mbit/s\"")?;
            let known = playback.rate.bytes_per_s().is_some();
            let hint = "write the bit rate of what is watched, such as \"1 Mbit/s\"";
            self.require(known, &at, "nothing is played at an unlimited rate", hint)?;
        }
        self.churn(path, class)
    }

    fn class_size(&self, path: &str, class: &HostClass) -> Checked {
        let at_share = format!("{path}.share");
        let both = class.share.is_some() && class.count.is_some();
        self.require(
            !both,
            &at_share,
            "a class has a count or a share, not both",
            "leave one of the two out",
        )?;
        let Arrival::Trace(trace) = &class.arrival else {
            let either = class.share.is_some() || class.count.is_some();
            return self.require(either, path, "how many hosts?", "add a count such as count = 100");
        };
        let hint = "leave the share out: the class has as many hosts as its trace";
        self.require(class.share.is_none(), &at_share, "a class with a trace has no share", hint)?;
        let (rows, count) = (trace.times.len() as u64, class.count.map_or(0, u64::from));
        let message = format!("the trace has {rows} arrivals, not {count}");
        self.require(count <= rows, &format!("{path}.count"), message, "lower the count or leave it out")
    }

    fn initial_pieces(&self, path: &str, class: &HostClass) -> Checked {
        let (at, pieces) = (format!("{path}.pieces"), class.initial_pieces());
        let whole = class.behaviour != Behaviour::Seed || pieces == InitialPieces::All;
        let hint = "leave `pieces` out, or write behaviour = \"normal\"";
        self.require(whole, &at, "a seed has all pieces", hint)?;
        let InitialPieces::List(ranges) = pieces else { return Ok(()) };
        let total = self.scenario.pieces();
        let last = ranges.iter().map(|&(_, last)| u64::from(last)).max().unwrap_or(0);
        let message = format!("there is no piece {last}: the content has {total} pieces");
        self.require(
            last < total,
            &at,
            message,
            format!("pieces are counted from 0: the last is {}", total - 1),
        )
    }

    fn whom(&self, path: &str, class: &HostClass) -> Checked {
        for (field, strategy) in [("picker", &class.picker), ("choker", &class.choker)] {
            let at = format!("{path}.{field}");
            self.require(
                !strategy.name().is_empty(),
                &at,
                format!("`{field}` is empty"),
                "name a strategy, or leave it out",
            )?;
        }
        let at = format!("{path}.region");
        self.require(!class.region.is_empty(), &at, "`region` is empty", "name a region, or leave it out")?;
        let seeds = self.scenario.hosts.values().any(|class| class.behaviour == Behaviour::Seed);
        let reachable = class.peers == Peers::Anyone || seeds;
        let hint = "add a class with behaviour = \"seed\"";
        self.require(reachable, &format!("{path}.peers"), "there are no seeds to connect to", hint)
    }

    fn links(&self, path: &str, links: &Links) -> Checked {
        self.flows(
            links.up,
            &format!("{path}.up"),
            "write a rate such as \"1 Mbit/s\"; one who gives nothing is behaviour = \"free-rider\"",
        )?;
        self.flows(links.down, &format!("{path}.down"), "write a rate such as \"8 Mbit/s\"")?;
        self.draw(&links.latency, &format!("{path}.latency"))?;
        let message = format!("a loss of {} stops TCP: time-outs rule", links.loss);
        let hint = format!("write \"{MAX_LOSS}\" or less");
        self.require(links.loss.ppm() <= MAX_LOSS.ppm(), &format!("{path}.loss"), message, hint)?;
        let segment = Size::from_bytes(
            self.scenario.network.mss.bytes().saturating_add(self.scenario.network.header.bytes()),
        );
        let room = [
            ("socket_buffer", links.socket_buffer, MIN_SOCKET_BUFFER, "a block"),
            ("window", links.window, segment, "a segment"),
            ("queue", links.queue, segment, "a segment"),
        ];
        for (field, size, least, what) in room {
            let message = format!("{size} hold no {}", what.trim_start_matches("a "));
            let hint = format!("write \"{least}\" or more: {what} must fit");
            self.require(size >= least, &format!("{path}.{field}"), message, hint)?;
        }
        Ok(())
    }

    fn disk(&self, path: &str, disk: &HostDisk) -> Checked {
        self.flows(disk.rate, &format!("{path}.rate"), "write a rate such as \"150 MB/s\", or leave it out")?;
        self.draw(&disk.latency, &format!("{path}.latency"))?;
        disk.write_latency.iter().try_for_each(|draw| self.draw(draw, &format!("{path}.write_latency")))
    }

    fn limits(&self, path: &str, limits: &Limits) -> Checked {
        let rates = [
            ("up", limits.up),
            ("down", limits.down),
            ("up_per_conn", limits.up_per_conn),
            ("down_per_conn", limits.down_per_conn),
            ("up_per_slot", limits.up_per_slot),
        ];
        for (field, rate) in rates {
            let hint = "leave it out for no limit; one who gives nothing is behaviour = \"free-rider\"";
            self.flows(rate, &format!("{path}.{field}"), hint)?;
        }
        self.slots(path, limits)?;
        let times = [
            ("snub_timeout", limits.snub_timeout),
            ("dial_timeout", limits.dial_timeout),
            ("handshake_timeout", limits.handshake_timeout),
            ("redial", limits.redial),
            ("keep_alive", limits.keep_alive),
            ("request_queue_time", limits.request_queue_time),
            ("peer_timeout", limits.peer_timeout),
        ];
        times.iter().try_for_each(|&(field, span)| self.positive(span, &format!("{path}.{field}")))?;
        let timeout = limits.request_timeout;
        timeout.map_or(Ok(()), |span| self.positive(span, &format!("{path}.request_timeout")))?;
        let numbers = [
            ("connections", limits.connections),
            ("half_open", limits.half_open),
            ("min_requests", limits.min_requests),
            ("max_requests", limits.max_requests),
            ("reqq", limits.reqq),
        ];
        numbers
            .iter()
            .try_for_each(|&(field, number)| self.at_least_one(number, &format!("{path}.{field}")))?;
        let message = format!("at least {} and at most {}", limits.min_requests, limits.max_requests);
        let fits = limits.min_requests <= limits.max_requests;
        self.require(fits, &format!("{path}.min_requests"), message, "lower it, or raise max_requests")?;
        let message = format!("`redial` begins at {} already", limits.redial);
        let grows = limits.redial_max >= limits.redial;
        self.require(grows, &format!("{path}.redial_max"), message, "raise redial_max, or lower redial")
    }

    fn slots(&self, path: &str, limits: &Limits) -> Checked {
        if let Slots::Fixed(slots) = limits.slots {
            let hint = "write slots = 4, or behaviour = \"free-rider\" for one who gives nothing";
            self.require(slots > 0, &format!("{path}.slots"), "a client without unchoke slots", hint)?;
            let message = format!("{} of {slots} slots cannot be optimistic", limits.optimistic_slots);
            let fits = limits.optimistic_slots <= slots;
            self.require(
                fits,
                &format!("{path}.optimistic_slots"),
                message,
                "`slots` includes the optimistic ones",
            )?;
        }
        self.positive(limits.rechoke, &format!("{path}.rechoke"))?;
        self.positive(limits.optimistic, &format!("{path}.optimistic"))?;
        let rounds = limits.optimistic.as_nanos().is_multiple_of(limits.rechoke.as_nanos());
        let message = format!("`optimistic` is {}, no multiple of `rechoke`", limits.optimistic);
        let hint = format!("write a multiple of {}", limits.rechoke);
        self.require(rounds, &format!("{path}.optimistic"), message, hint)
    }

    fn churn(&self, path: &str, class: &HostClass) -> Checked {
        let at = format!("{path}.arrival");
        match &class.arrival {
            Arrival::FlashCrowd(_) | Arrival::Trace(_) => {}
            Arrival::Constant(rate) => self.happens(*rate, &format!("{at}.constant"))?,
            Arrival::Poisson(rate) => self.happens(*rate, &format!("{at}.poisson"))?,
            Arrival::Decay(decay) => {
                self.happens(decay.rate, &format!("{at}.decay.rate"))?;
                self.positive(decay.tau, &format!("{at}.decay.tau"))?;
            }
        }
        if let Stay::For(draw) = &class.stay {
            self.draw(draw, &format!("{path}.stay"))?;
        }
        if let Some(session) = &class.session {
            let at = format!("{path}.session.length");
            self.draw(&session.length, &at)?;
            if let crate::Draw::Fixed(length) = session.length {
                self.positive(length, &at)?;
            }
            session.gap.iter().try_for_each(|gap| self.draw(gap, &format!("{path}.session.gap")))?;
        }
        let copies = class.leave.after_copies.unwrap_or(1.0);
        let message = format!("a host cannot leave after {copies} copies");
        let sane = copies.is_finite() && copies > 0.0;
        self.require(
            sane,
            &format!("{path}.leave.after_copies"),
            message,
            "write a number above 0, such as 1.5",
        )
    }
}
