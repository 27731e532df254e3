//! Which faults a backend can carry out.

use torrentlab_scenarios::Scenario;
use torrentlab_scenarios::schema::FaultKind;

use crate::build::BuildError;

/// Refuses the faults of a scenario that the `des` backend does not carry out.
///
/// # Errors
/// The first of them, with the reason.
pub fn check(scenario: &Scenario) -> Result<(), BuildError> {
    let declared = scenario.fault.iter().enumerate().map(|(nth, fault)| (format!("fault.{nth}"), fault.kind));
    let mix = scenario.random_faults.iter().flat_map(|faults| faults.mix.iter().enumerate());
    let random = mix.map(|(nth, sort)| (format!("random_faults.mix.{nth}"), sort.kind));
    declared.chain(random).try_for_each(|(path, kind)| match why_not(&kind) {
        None => Ok(()),
        Some((what, hint)) => Err(BuildError::new(format!("{path}.kind"), what, hint)),
    })
}

/// Why not, and what to do instead.
fn why_not(kind: &FaultKind) -> Option<(String, &'static str)> {
    match kind {
        FaultKind::DiskFull | FaultKind::ReadError => {
            let what = format!("this version does not carry out `{}`", kind.name());
            Some((what, "leave the fault out"))
        }
        _ => None,
    }
}
