//! What a swarm is put together from.

/// The access links of a class of hosts, in a scenario's words. What is not said stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Link(Vec<(&'static str, String)>);

impl Link {
    /// Links of which nothing is said.
    pub fn new() -> Self {
        Self::default()
    }

    /// The uplink's rate, such as `"1 Mbit/s"`.
    #[must_use]
    pub fn up(self, rate: &str) -> Self {
        self.with("up", rate)
    }

    /// The downlink's rate.
    #[must_use]
    pub fn down(self, rate: &str) -> Self {
        self.with("down", rate)
    }

    /// The one-way latency to the middle of the network, such as `"30 ms"` or `"10ms..50ms"`.
    #[must_use]
    pub fn latency(self, latency: &str) -> Self {
        self.with("latency", latency)
    }

    /// The share of packets that are lost, such as `"1%"`.
    #[must_use]
    pub fn loss(self, share: &str) -> Self {
        self.with("loss", share)
    }

    fn with(mut self, field: &'static str, value: &str) -> Self {
        self.0.push((field, value.to_owned()));
        self
    }

    pub(super) fn sets(self, class: &str) -> impl Iterator<Item = String> {
        let class = class.to_owned();
        self.0.into_iter().map(move |(field, value)| format!("hosts.{class}.links.{field}={value}"))
    }
}

/// Something that goes wrong, in a scenario's words: what, to whom (`"2 of leecher"`, `"50% of leecher"`, `"seed-0"`,
/// `"tracker"`), when, for how long.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: String,
    target: String,
    at: Option<String>,
    lasts: Option<String>,
}

impl Fault {
    /// A fault of any kind: by its name (`"disk-full"`), or with what it needs (`"{ latency = \"200 ms\" }"`).
    pub fn new(kind: &str, target: &str) -> Self {
        Self { kind: kind.to_owned(), target: target.to_owned(), at: None, lasts: None }
    }

    /// Their processes die: the others learn of it one latency later, the tracker does not.
    pub fn kill(target: &str) -> Self {
        Self::new("kill", target)
    }

    /// They fall silent: only time-outs find out.
    pub fn vanish(target: &str) -> Self {
        Self::new("vanish", target)
    }

    /// They cannot reach anybody else, nor anybody else them.
    pub fn partition(target: &str) -> Self {
        Self::new("partition", target)
    }

    /// They send corrupt blocks.
    pub fn corrupt(target: &str) -> Self {
        Self::new("corrupt", target)
    }

    /// When it begins; else at once.
    #[must_use]
    pub fn at(mut self, time: &str) -> Self {
        self.at = Some(time.to_owned());
        self
    }

    /// How long it lasts; else until the run ends.
    #[must_use]
    pub fn lasts(mut self, time: &str) -> Self {
        self.lasts = Some(time.to_owned());
        self
    }

    /// Its table in a scenario. What is no fit text there is an error of the scenario.
    pub(super) fn toml(&self) -> String {
        let mut table = format!("\n[[fault]]\ntarget = {:?}\n", self.target);
        let is_table = self.kind.trim_start().starts_with('{');
        table +=
            &if is_table { format!("kind = {}\n", self.kind) } else { format!("kind = {:?}\n", self.kind) };
        for (field, value) in [("at", &self.at), ("for", &self.lasts)] {
            table.extend(value.iter().map(|value| format!("{field} = {value:?}\n")));
        }
        table
    }
}
