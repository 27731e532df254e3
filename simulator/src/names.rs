//! The names of hosts: `leecher-17` is the 18th of its class.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;
use torrentlab_scenarios::Scenario;

use crate::plan::{MAX_PLACES, host_of};
/// There is no host of this name.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("there is no host `{host}`\nhint: the hosts are {known}")]
pub struct UnknownHost {
    /// The name.
    pub host: String,
    /// Those that there are.
    pub known: String,
}

/// The names of all hosts.
#[derive(Clone, Debug)]
pub struct Names {
    /// The classes, with the number of the first host of each, and of how many there are.
    classes: Vec<(String, u32, u32)>,
    hosts: u32,
}

impl Names {
    /// Those of a scenario, in the order of its classes.
    pub fn of(scenario: &Scenario) -> Self {
        let sizes = scenario.class_sizes();
        let mut hosts = 0;
        let class = |name: &String| {
            let count = sizes.get(name.as_str()).copied().unwrap_or(0);
            let first = hosts;
            hosts += count;
            (name.clone(), first, count)
        };
        let classes = scenario.hosts.keys().map(class).collect();
        Self { classes, hosts }
    }

    /// The host of this name.
    pub fn number(&self, host: &str) -> Option<u32> {
        self.classes.iter().find_map(|(class, first, count)| {
            let digits = host.strip_prefix(class)?.strip_prefix('-')?;
            let index: u32 = digits.parse().ok()?;
            // One spelling for each host: `leecher-07` would be another file.
            (index < *count && index.to_string() == digits).then_some(first + index)
        })
    }

    /// The host of this name.
    ///
    /// # Errors
    /// Where there is none: which there are.
    pub fn find(&self, host: &str) -> Result<u32, UnknownHost> {
        self.number(host).ok_or_else(|| UnknownHost { host: host.to_owned(), known: self.to_string() })
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> u32 {
        self.hosts
    }

    /// Whose address it is, or was; a host that moves is `hosts` places on.
    pub fn host_at(&self, addr: SocketAddr) -> Option<u32> {
        host_of(addr.ip(), MAX_PLACES)?.checked_rem(self.hosts)
    }

    /// The name of the host at an address, as [`Names::host_at`].
    pub fn at(&self, addr: SocketAddr) -> Option<String> {
        self.host_at(addr).map(|host| self.name(host))
    }

    /// The name of a host. One that there is not has its number for a name.
    pub fn name(&self, host: u32) -> String {
        let class = self.classes.iter().rev().find(|(_, first, count)| *count > 0 && *first <= host);
        class.map_or_else(|| host.to_string(), |(class, first, _)| format!("{class}-{}", host - first))
    }
}

impl fmt::Display for Names {
    /// `leecher-0 to leecher-99 and seed-0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some: Vec<_> = self.classes.iter().filter(|(_, _, count)| *count > 0).collect();
        for (nth, (class, _, count)) in some.iter().enumerate() {
            f.write_str(match nth {
                0 => "",
                _ if nth + 1 == some.len() => " and ",
                _ => ", ",
            })?;
            match count {
                1 => write!(f, "{class}-0")?,
                _ => write!(f, "{class}-0 to {class}-{}", count - 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::addr_of;

    fn names() -> Names {
        let classes = [("leecher", 0, 20), ("nobody", 20, 0), ("seed", 20, 1), ("slow-leecher", 21, 3)];
        let classes = classes.map(|(name, first, count)| (name.to_owned(), first, count)).into();
        Names { classes, hosts: 24 }
    }

    #[test]
    fn names_lead_to_hosts_and_addresses_to_names() {
        let names = names();
        for (name, number) in [("leecher-0", 0), ("leecher-19", 19), ("seed-0", 20), ("slow-leecher-2", 23)] {
            assert_eq!(names.number(name), Some(number), "{name}");
            assert_eq!(names.at(addr_of(number)).as_deref(), Some(name));
            assert_eq!(names.at(addr_of(number + 2 * 24)).as_deref(), Some(name), "it moved twice");
        }
        assert_eq!(names.at("192.0.2.1:6881".parse().unwrap()), None);
    }

    #[test]
    fn a_name_that_is_no_hosts_is_told_which_there_are_negative() {
        let names = names();
        for name in
            ["leecher-20", "leecher", "leecher-", "leecher-07", "leecher-+7", "nobody-0", "seed-1", ""]
        {
            assert_eq!(names.number(name), None, "{name}");
        }
        assert_eq!(names.to_string(), "leecher-0 to leecher-19, seed-0 and slow-leecher-0 to slow-leecher-2");
    }
}
