//! Which faults make no sense.

use super::rules::{Check, Checked};
use crate::draw::Draw;
use crate::schema::{FaultKind, RandomFaults, Until};
use crate::source::nearest_hint;
use crate::target::{Amount, Group, Member, Target, Who};
use crate::units::{Rate, Span};

impl Check<'_> {
    pub(super) fn faults(&self) -> Checked {
        for (nth, fault) in self.scenario.fault.iter().enumerate() {
            let path = format!("fault.{nth}");
            self.begins(&fault.at, &path)?;
            self.fault(&path, &fault.target, &fault.kind, fault.lasts.as_ref())?;
        }
        self.scenario.random_faults.iter().try_for_each(|faults| self.random_faults(faults))
    }

    fn random_faults(&self, faults: &RandomFaults) -> Checked {
        let RandomFaults { rate, from, until, mix } = faults;
        let at = "random_faults";
        self.require(
            !rate.is_zero(),
            &format!("{at}.rate"),
            "no fault would ever come",
            "write a rate such as \"1 /min\"",
        )?;
        let message = format!("they end at {until} and begin at {from}");
        self.require(until > from, &format!("{at}.until"), message, "write a later time")?;
        let some = mix.iter().any(|sort| sort.weight > 0);
        let hint = "add a table [[random_faults.mix]] with a kind and a target";
        self.require(some, &format!("{at}.mix"), "faults of no kind", hint)?;
        for (nth, sort) in mix.iter().enumerate() {
            self.fault(&format!("{at}.mix.{nth}"), &sort.target, &sort.kind, sort.lasts.as_ref())?;
        }
        Ok(())
    }

    fn fault(&self, path: &str, target: &Target, kind: &FaultKind, lasts: Option<&Draw>) -> Checked {
        self.target(&format!("{path}.target"), target, kind)?;
        self.details(path, kind)?;
        let at = format!("{path}.for");
        if let Some(lasts) = lasts {
            self.draw(lasts, &at)?;
            let message = format!("`{}` has no duration: it happens and is over", kind.name());
            self.require(!kind.is_instant(), &at, message, "leave `for` out")?;
            let lasts_a_while =
                !matches!(lasts, Draw::Fixed(Span::ZERO)) || matches!(kind, FaultKind::Restart(_));
            self.require(
                lasts_a_while,
                &at,
                "a fault that is over at once",
                "write a time such as \"1 min\"",
            )?;
        }
        let endless = lasts.is_none() && matches!(kind, FaultKind::Swizzle);
        self.require(!endless, path, "a swizzle needs its time", "add a duration such as for = \"1 min\"")
    }

    fn begins(&self, at: &Draw, path: &str) -> Checked {
        let path = format!("{path}.at");
        self.draw(at, &path)?;
        let earliest = match *at {
            Draw::Fixed(span) | Draw::Uniform { from: span, .. } => span,
            Draw::Exponential(_) | Draw::Weibull { .. } => Span::ZERO,
        };
        let end = match self.scenario.until {
            Until::Time(end) => end.min(self.scenario.time_cap),
            Until::AllDone | Until::Steady(_) => self.scenario.time_cap,
        };
        let message = format!("the run is over at {end}: this never happens");
        self.require(earliest < end, &path, message, "write an earlier time, or let the run go on")
    }

    fn target(&self, path: &str, target: &Target, kind: &FaultKind) -> Checked {
        let name = kind.name();
        match target {
            Target::Tracker => {
                let hint = "write a class or a host, or a fault of the tracker: down, slow, wrong, forgets";
                self.require(kind.is_trackers(), path, format!("a tracker cannot have `{name}`"), hint)
            }
            Target::Hosts(group) => {
                let message = format!("`{name}` is a fault of the tracker");
                self.require(!kind.is_trackers(), path, message, "write target = \"tracker\"")?;
                self.group(path, group, false)
            }
            Target::Links { from, to, .. } => {
                let message = format!("`{name}` does not happen to links");
                let hint = "partition, hold, swizzle, latency and loss do; or name the hosts";
                self.require(kind.is_for_links(), path, message, hint)?;
                let with_tracker = matches!(kind, FaultKind::Partition);
                self.group(path, from, with_tracker)?;
                self.group(path, to, with_tracker)?;
                let apart = from != to || self.size(from) > 1;
                self.require(apart, path, "a host has no link to itself", "name two hosts or classes")
            }
        }
    }

    fn group(&self, path: &str, group: &Group, with_tracker: bool) -> Checked {
        group.0.iter().try_for_each(|member| self.member(path, member, with_tracker))?;
        let alone = group.0.iter().any(|member| member.of == Who::Tracker);
        let hint = "name the hosts that cannot reach it: \"30% of leecher <-> tracker\"";
        self.require(!alone || with_tracker, path, "the tracker is no host", hint)?;
        let message = format!("`{group}` is nobody");
        let hit = alone || self.size(group) > 0;
        self.require(hit, path, message, "name a class that has hosts, or raise the share")
    }

    fn member(&self, path: &str, member: &Member, with_tracker: bool) -> Checked {
        let Who::Name(name) = &member.of else { return Ok(()) };
        let Some((class, host)) = self.scenario.class_or_host(name) else {
            return self.nobody(path, name, with_tracker);
        };
        let whole = host.is_none() || member.amount == Amount::All;
        let hint = format!(
            "write \"{name}\" for the host, or \"{}{class}\"",
            match member.amount {
                Amount::Count(count) => format!("{count} of "),
                Amount::Share(share) => format!("{share} of "),
                Amount::All => String::new(),
            }
        );
        self.require(whole, path, format!("`{name}` is one host"), hint)?;
        let size = self.scenario.class_sizes().get(class).copied().unwrap_or(0);
        let enough = !matches!(member.amount, Amount::Count(count) if count > size);
        let message = format!("`{class}` has {size} hosts");
        self.require(enough, path, message, format!("write \"{size} of {class}\" or fewer"))
    }

    /// A name that is neither a class's nor a host's.
    fn nobody(&self, path: &str, name: &str, with_tracker: bool) -> Checked {
        let sizes = self.scenario.class_sizes();
        let class = name.rsplit_once('-').and_then(|(class, _)| sizes.get_key_value(class));
        if let Some((class, &size)) = class.filter(|(_, size)| **size > 0) {
            let message = format!("there is no host `{name}`");
            return self.require(false, path, message, format!("the last of them is `{class}-{}`", size - 1));
        }
        let mut known: Vec<&str> = self.scenario.hosts.keys().map(String::as_str).collect();
        known.push("everyone");
        known.extend(with_tracker.then_some("tracker"));
        self.require(false, path, format!("there is no class or host `{name}`"), nearest_hint(name, &known))
    }

    /// How many hosts a group has, those that are in it twice counted twice.
    fn size(&self, group: &Group) -> u64 {
        let sizes = self.scenario.class_sizes();
        let size = |member: &Member| {
            let all = match &member.of {
                Who::Tracker => 0,
                Who::Everyone => sizes.values().map(|&size| u64::from(size)).sum(),
                Who::Name(name) => match self.scenario.class_or_host(name) {
                    Some((class, None)) => u64::from(sizes[class]),
                    Some((_, Some(_))) => 1,
                    None => 0,
                },
            };
            member.amount.of(all)
        };
        group.0.iter().map(size).sum()
    }

    fn details(&self, path: &str, kind: &FaultKind) -> Checked {
        let at = format!("{path}.kind.{}", kind.name());
        match *kind {
            FaultKind::Rate(change) => {
                let some = change.up.is_some() || change.down.is_some();
                self.require(some, &at, "neither rate changes", "write { up = \"100 kbit/s\" }")?;
                let hint = "for a link that carries nothing write kind = \"partition\"";
                let rates = [("up", change.up), ("down", change.down)];
                rates.into_iter().try_for_each(|(side, rate)| {
                    self.flows(rate.unwrap_or(Rate::UNLIMITED), &format!("{at}.{side}"), hint)
                })
            }
            FaultKind::Latency(more) => self.positive(more, &at),
            FaultKind::Loss(share) => {
                let hint = "write a share such as \"1%\"; a link that loses everything is a partition";
                let some = (1..1_000_000).contains(&share.ppm());
                self.require(some, &at, format!("a loss of {share}"), hint)
            }
            FaultKind::Corrupt(corrupt) => {
                let both = corrupt.piece.is_some() && corrupt.share.ppm() < 1_000_000;
                let hint = "write a [[fault]] for each";
                self.require(!both, &at, "either a share of all blocks, or one piece", hint)?;
                let hint = "leave `share` out for every block, or write one such as \"10%\"";
                self.require(corrupt.share.ppm() > 0, &format!("{at}.share"), "no block is corrupt", hint)?;
                let (piece, total) = (u64::from(corrupt.piece.unwrap_or(0)), self.scenario.pieces());
                let message = format!("there is no piece {piece}: the content has {total} pieces");
                let hint = format!("pieces are counted from 0: the last is {}", total - 1);
                self.require(piece < total, &format!("{at}.piece"), message, hint)
            }
            FaultKind::Slow(more) => {
                self.draw(&more, &at)?;
                if let Draw::Fixed(more) = more { self.positive(more, &at) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}
