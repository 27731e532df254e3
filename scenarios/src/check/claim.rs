//! Claims and fits. Whether there is such a figure or column, the reports know.

use super::fits_name;
use super::rules::{Check, Checked};
use crate::schema::{Claim, Trend};

/// The most cells of a trend, and the most seeds of a claim.
const MOST_VALUES: usize = 100;
const MOST_RUNS: u32 = 10_000;
const HALF_PPM: u32 = 500_000;
const WHOLE_PPM: u32 = 1_000_000;

impl Check<'_> {
    pub(super) fn claims(&self) -> Checked {
        let mut claims = self.scenario.claim.iter().enumerate();
        claims.try_for_each(|(nth, claim)| self.claim(&format!("claim.{nth}"), claim))
    }

    fn claim(&self, path: &str, claim: &Claim) -> Checked {
        let message = "a claim is about a quotient or about a difference";
        let one = claim.over.is_none() || claim.minus.is_none();
        self.require(one, &format!("{path}.minus"), message, "leave `over` or `minus` out")?;
        let against = claim.over.is_some() || claim.minus.is_some();
        let message = "a trend is held against nothing";
        let alone = claim.trend.is_none() || !against;
        self.require(alone, &format!("{path}.trend"), message, "leave `over` and `minus` out")?;
        let level = claim.confidence.ppm();
        let message = "an interval needs a level between 50% and 100%";
        let fits = (HALF_PPM..WHOLE_PPM).contains(&level);
        self.require(fits, &format!("{path}.confidence"), message, "95% is usual")?;
        let fits = (1..=MOST_RUNS).contains(&claim.runs);
        let message = format!("a claim is judged over 1 to {MOST_RUNS} runs");
        self.require(fits, &format!("{path}.runs"), message, "5 is usual, 20 where runs differ much")?;
        claim.trend.as_ref().map_or(Ok(()), |trend| self.trend(&format!("{path}.trend"), trend))
    }

    fn trend(&self, path: &str, trend: &Trend) -> Checked {
        let path = format!("{path}.values");
        let mut values = trend.values.clone();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let distinct = (2..=MOST_VALUES).contains(&values.len()) && values.len() == trend.values.len();
        let message = format!("a trend needs 2 to {MOST_VALUES} values that differ");
        self.require(distinct, &path, message, "write a list such as [5, 10, 20]")?;
        let positive = values.iter().all(|value| value.is_finite() && *value > 0.0);
        self.require(positive, &path, "a trend is by doublings: all its values are above 0", "leave it out")
    }

    pub(super) fn fits(&self) -> Checked {
        self.scenario.fit.keys().try_for_each(|name| {
            let fits = !name.is_empty() && name.chars().all(|c| fits_name(c) && c != '.');
            let hint = "a fit's name has letters, digits, `-` and `_`";
            self.require(fits, &format!("fit.'{name}'"), format!("`{name}` is no name for a fit"), hint)
        })
    }
}
