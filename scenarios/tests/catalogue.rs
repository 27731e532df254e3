//! The catalogue loads, says what it is for, and can be written out and read back.

use torrentlab_scenarios::{Scenario, catalogue, load, read};

#[test]
fn every_entry_loads_and_tells_its_question_and_answer() {
    for entry in catalogue() {
        let loaded = load(entry.name, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.scenario.name, entry.name);
        assert!(loaded.scenario.question.ends_with('?'), "{}", entry.name);
        assert!(loaded.scenario.answer.ends_with('.'), "{}", entry.name);
        assert_eq!(
            (entry.question.as_str(), entry.answer.as_str()),
            (&*loaded.scenario.question, &*loaded.scenario.answer)
        );
    }
}

#[test]
fn every_cell_of_every_claim_is_a_scenario() {
    for entry in catalogue() {
        for claim in load(entry.name, &[]).unwrap().scenario.claim {
            let reference = claim.reference().map(<[String]>::to_vec);
            let controlled = claim.controlled().unwrap_or_default();
            for cell in claim.measured().into_iter().chain(reference).chain(controlled) {
                load(entry.name, &cell).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
            }
        }
    }
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/catalogue");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut names: Vec<_> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let mut embedded: Vec<_> = catalogue().iter().map(|entry| entry.name.to_owned()).collect();
    names.sort();
    embedded.sort();
    assert_eq!(names, embedded);
}

#[test]
fn the_resolved_scenario_is_the_scenario() {
    for entry in catalogue() {
        let scenario = load(entry.name, &["seed=7".to_owned()]).unwrap().scenario;
        let resolved = scenario.resolved_toml();
        assert_eq!(Scenario::from_toml(&resolved, "resolved.toml").unwrap(), scenario, "{}", entry.name);
        assert!(resolved.contains("seed = 7") && resolved.contains("snub_timeout"), "{resolved}");
    }
}

/// F4 and F13 compare the two: nothing may differ but who serves whom.
#[test]
fn client_server_has_the_hosts_and_links_of_flash_crowd() {
    let swarm = load("flash-crowd", &[]).unwrap().scenario;
    let server = load("client-server", &[]).unwrap().scenario;
    assert_eq!(swarm.content, server.content);
    for (a, b) in [("seed", "server"), ("leecher", "client")] {
        assert_eq!(swarm.hosts[a].links, server.hosts[b].links);
        assert_eq!(swarm.hosts[a].arrival, server.hosts[b].arrival);
        assert_eq!(swarm.hosts[a].count, server.hosts[b].count);
    }
}

#[test]
fn the_benchmark_scales_by_one_field() {
    for (leechers, seeds) in [(200, 2), (1_000, 10), (10_000, 100)] {
        let scenario = load("bench", &[format!("swarm.leechers={leechers}")]).unwrap().scenario;
        let sizes = scenario.class_sizes();
        assert_eq!(sizes["seed"], seeds);
        assert_eq!(sizes.values().sum::<u32>(), leechers + seeds);
        assert_eq!(scenario.pieces(), 256);
    }
}

#[test]
fn a_name_that_is_nearly_right_gets_the_right_one() {
    let error = load("first-swrm", &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "no scenario in the catalogue is called `first-swrm`, and no file\nhint: did you mean `first-swarm`?"
    );
    let error = load("no/such/file.toml", &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read no/such/file.toml: "), "{error}");
}

#[test]
fn a_scenario_without_a_name_has_its_files() {
    let text = catalogue()[0].text.replace("name = \"first-swarm\"", "");
    assert_eq!(read(&text, "a folder/my swarm.toml", &[]).unwrap().scenario.name, "my-swarm");
    assert_eq!(read(&text, "..", &[]).unwrap().scenario.name, "scenario");
}
