//! Where hosts are, and what comes to them from elsewhere.

use torrentlab_scenarios::Scenario;

use crate::ledger::Ledger;

/// The region of each class: the position of the first class that is there.
pub fn class_regions(scenario: &Scenario) -> Vec<u16> {
    let names = || scenario.hosts.values().map(|class| class.region.as_str());
    let first = |own: &str| names().position(|region| region == own).unwrap_or_default() as u16;
    names().map(first).collect()
}

/// The share of all payload that came from a host of another region; `None` where there is one region, or nothing came.
/// The accounts have to be finished.
pub fn cross_region_share(scenario: &Scenario, ledger: &Ledger) -> Option<f64> {
    let regions = class_regions(scenario);
    let region = |class: u16| regions[usize::from(class)];
    regions.iter().any(|&region| region != regions[0]).then_some(())?;
    let (mut all, mut crossed) = (0, 0);
    for host in &ledger.hosts {
        for tie in &host.ties {
            all += tie.payload;
            if region(ledger.hosts[tie.peer as usize].class) != region(host.class) {
                crossed += tie.payload;
            }
        }
    }
    (all > 0).then(|| crossed as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::bitfield::Bitfield;
    use torrentlab_engine::units::Geometry;

    use super::*;
    use crate::census::Census;
    use crate::ledger::Tie;

    fn scenario(regions: [&str; 3]) -> Scenario {
        let class = |(name, region)| {
            format!(
                "[hosts.{name}]\ncount = 1\nregion = \"{region}\"\npieces = \"all\"\n\
                 links = {{ up = \"1 Mbit/s\", down = \"1 Mbit/s\" }}\n"
            )
        };
        let classes: String = ["a", "b", "c"].into_iter().zip(regions).map(class).collect();
        let text = format!("schema = 1\ncontent.size = \"1 MiB\"\n{classes}");
        Scenario::from_toml(&text, "regions.toml").unwrap()
    }

    #[test]
    fn what_crossed_is_what_came_from_another_region_whatever_the_class() {
        let mut ledger = Ledger::new(Geometry::new(1, 1).expect("a shape"), Census::new(1));
        (0..3).for_each(|class| ledger.open(class, &Bitfield::none(1), false));
        let tie = |(peer, payload)| Tie { peer, payload, ..Tie::default() };
        ledger.hosts[0].ties = [(1, 30), (2, 10)].map(tie).to_vec();
        ledger.hosts[1].ties = vec![tie((0, 50))];
        ledger.hosts[2].ties = vec![tie((0, 10))];
        let share = |regions| cross_region_share(&scenario(regions), &ledger);
        assert_eq!(class_regions(&scenario(["east", "west", "east"])), [0, 1, 0]);
        assert_eq!(share(["east", "west", "east"]), Some(0.8));
        assert_eq!(share(["east", "east", "west"]), Some(0.2));
        assert_eq!(share(["a", "b", "c"]), Some(1.0));
        assert_eq!(share(["same", "same", "same"]), None);
        let nothing = Ledger::new(Geometry::new(1, 1).expect("a shape"), Census::new(1));
        assert_eq!(cross_region_share(&scenario(["a", "b", "c"]), &nothing), None);
    }
}
