//! What a run failed of.

use std::fmt;

use thiserror::Error;
use torrentlab_engine::time::Instant;

/// What is wrong in a run: found by a checker, or a broken invariant.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub struct Failure {
    /// `check:` and the name of the checker, or `invariant:` and what broke, in few words. Failures are alike where their
    /// classes are.
    pub class: String,
    /// When, if that is known.
    pub at: Option<Instant>,
    /// What is wrong, in one sentence.
    pub what: String,
    /// The hosts that it is about, by name.
    pub hosts: Vec<String>,
    /// The pieces that it is about.
    pub pieces: Vec<u32>,
    /// What last happened to those hosts, oldest first.
    pub last_events: Vec<String>,
}

impl Failure {
    /// What `checker` found at `at`.
    pub fn of_checker(checker: &str, at: Instant, what: impl Into<String>) -> Self {
        Self {
            class: format!("check:{checker}"),
            at: Some(at),
            what: what.into(),
            hosts: Vec::new(),
            pieces: Vec::new(),
            last_events: Vec::new(),
        }
    }

    /// A broken invariant: what the panic said. Its class is its first words without what differs from run to run.
    pub fn of_panic(what: &str) -> Self {
        let is_word = |word: &&str| !word.is_empty() && word.chars().all(|char| char.is_ascii_alphabetic());
        let words = what.split(|char: char| !char.is_ascii_alphanumeric()).filter(is_word).take(6);
        let name = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
        Self {
            class: format!("invariant:{}", if name.is_empty() { "unknown" } else { &name }),
            at: None,
            what: what.to_owned(),
            hosts: Vec::new(),
            pieces: Vec::new(),
            last_events: Vec::new(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.class)?;
        if let Some(at) = self.at {
            write!(f, " at {:.6} s", at.as_secs_f64())?;
        }
        write!(f, ": {}", self.what)?;
        if !self.hosts.is_empty() {
            write!(f, "\n  hosts: {}", self.hosts.join(", "))?;
        }
        if !self.pieces.is_empty() {
            let pieces: Vec<_> = self.pieces.iter().map(u32::to_string).collect();
            write!(f, "\n  pieces: {}", pieces.join(", "))?;
        }
        if !self.last_events.is_empty() {
            write!(f, "\n  what last happened there:")?;
            self.last_events.iter().try_for_each(|event| write!(f, "\n    {event}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_invariant_has_a_name_without_its_numbers() {
        let class = |what| Failure::of_panic(what).class;
        assert_eq!(class("availability of 17"), "invariant:availability-of");
        assert_eq!(
            class("the driver broke the contract with host 3: piece 5 was"),
            class("the driver broke the contract with host 4: x")
        );
        assert_eq!(
            class("assertion `left == right` failed: requests of ConnId(3)"),
            "invariant:assertion-left-right-failed-requests-of"
        );
        assert_eq!(class("17"), "invariant:unknown");
    }

    #[test]
    fn a_failure_tells_what_it_knows() {
        let mut failure =
            Failure::of_checker("no-request-while-choked", Instant::from_nanos(1_500_000_000), "asked");
        assert_eq!(failure.to_string(), "check:no-request-while-choked at 1.500000 s: asked");
        failure.hosts = vec!["leecher-1".to_owned(), "seed-0".to_owned()];
        failure.pieces = vec![3, 4];
        failure.last_events = vec!["1.2 s leecher-1: choke".to_owned()];
        let text = failure.to_string();
        assert!(text.ends_with("asked\n  hosts: leecher-1, seed-0\n  pieces: 3, 4\n  what last happened there:\n    1.2 s leecher-1: choke"), "{text}");
    }
}
