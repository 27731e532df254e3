//! Profiles of clients: the layer under a class, and the page that lists them.
//!
//! `UPDATE=1 cargo test -p torrentlab-scenarios --test profiles` writes the page anew.

use std::fmt::Write as _;
use std::fs;

use torrentlab_scenarios::schema::{Announce, EndgameFrom, HostClass};
use torrentlab_scenarios::units::Span;
use torrentlab_scenarios::{Profile, Scenario, Slots, profiles, read};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/profiles.md");
/// Fields that mean something for some clients alone.
const OF_SOME: [&str; 2] = ["limits.seeding_quota", "limits.request_timeout"];
const INTRO: &str = include_str!("profiles.md");

const PLAIN: &str = r#"schema = 1
content.size = "1 MiB"
[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "1 Mbit/s", down = "2 Mbit/s" }
[hosts.user]
count = 9
links = { up = "1 Mbit/s", down = "2 Mbit/s" }
"#;

fn scenario(sets: &[&str]) -> Scenario {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    read(PLAIN, "plain.toml", &sets).unwrap_or_else(|error| panic!("{error}")).scenario
}

fn error(text: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    read(text, "plain.toml", &sets).map_or_else(|error| error.to_string(), |_| "no error".to_owned())
}

/// A class of this profile that says nothing else.
fn class_of(profile: &Profile) -> HostClass {
    scenario(&[&format!("hosts.user.profile={}", profile.name)]).hosts["user"].clone()
}

#[test]
fn a_profile_is_under_the_class_and_over_the_defaults() {
    let plain = scenario(&[]).hosts["user"].clone();
    let bare = scenario(&["hosts.user.profile=rqbit"]).hosts["user"].clone();
    assert_eq!((bare.choker.name(), bare.limits.max_requests), ("everyone", 128));
    assert_eq!((bare.announce, bare.announce_completed), (Announce::MinInterval, false));
    assert_eq!(bare.limits.seeding_quota, plain.limits.seeding_quota, "rqbit has none");
    let own = ["hosts.user.profile=rqbit", "hosts.user.choker=libtorrent", "hosts.user.limits.numwant=7"];
    let own = scenario(&own).hosts["user"].clone();
    assert_eq!((own.choker.name(), own.limits.numwant, own.limits.max_requests), ("libtorrent", 7, 128));
    assert_eq!(scenario(&["hosts.user.profile=rqbit"]).hosts["seed"], scenario(&[]).hosts["seed"]);
}

#[test]
fn a_strategy_of_the_class_replaces_the_profile_s_with_its_parameters() {
    let sets = ["hosts.user.profile=aria2", "hosts.user.picker.streaming.p=0.5"];
    let class = scenario(&sets).hosts["user"].clone();
    assert_eq!(class.picker.to_string(), r#"streaming {"p":0.5}"#);
    assert_eq!(class.endgame_from, EndgameFrom::LastPieces, "the rest is aria2's");
}

#[test]
fn every_way_to_write_a_class_takes_a_profile() {
    let expected = scenario(&["hosts.user.profile=aria2", "hosts.user.limits.slots=9"]);
    let ways = [
        "profile = \"aria2\"\ncount = 9\nlinks = { up = \"1 Mbit/s\", down = \"2 Mbit/s\" }\nlimits.slots = 9\n",
        "profile = \"aria2\"\ncount = 9\nlinks = { up = \"1 Mbit/s\", down = \"2 Mbit/s\" }\n[hosts.user.limits]\nslots = 9\n",
        "limits = { slots = 9 }\nlinks = { up = \"1 Mbit/s\", down = \"2 Mbit/s\" }\ncount = 9\nprofile = \"aria2\" # what\n",
    ];
    let (head, _) = PLAIN.split_once("[hosts.user]\n").unwrap();
    for way in ways {
        let text = format!("{head}[hosts.user]\n{way}");
        assert_eq!(Scenario::from_toml(&text, "plain.toml").unwrap(), expected, "{way}");
    }
    let inline = "hosts.user = { profile = \"aria2\", count = 9, limits = { slots = 9 }, links = { up = \"1 Mbit/s\", down = \"2 Mbit/s\" } }\n";
    let (first, rest) = head.split_once('\n').unwrap();
    let rest = rest.replace("[hosts.seed]\n", "").replace('\n', "\nhosts.seed.");
    let text = format!("{first}\n{inline}hosts.seed.{}", rest.trim_end_matches("hosts.seed."));
    let text = text.replace("hosts.seed.content.size", "content.size");
    assert_eq!(Scenario::from_toml(&text, "plain.toml").unwrap(), expected, "{text}");
}

#[test]
fn an_unknown_profile_gets_the_nearest_name_or_the_list() {
    let text = PLAIN.replace("count = 9\n", "count = 9\nprofile = \"libtorent\"\n");
    insta::assert_snapshot!(error(&text, &[]), @r#"
    plain.toml:9:11: there is no profile `libtorent`
      |
    9 | profile = "libtorent"
      |           ^^^^^^^^^^^
    hint: did you mean `libtorrent`?
    "#);
    insta::assert_snapshot!(error(PLAIN, &["hosts.user.profile=utorrent-3"]), @r"
    --set: there is no profile `utorrent-3`
     |
     | hosts.user.profile=utorrent-3
     |                    ^^^^^^^^^^
    hint: there are: mainline, libtorrent, transmission, aria2, rqbit, webtorrent
    ");
    assert!(error(PLAIN, &["hosts.user.profile=3"]).contains("unexpected integer"));
}

#[test]
fn errors_beside_a_profile_point_at_what_was_written() {
    let text = PLAIN.replace("count = 9\n", "count = 9\nprofile = \"aria2\"\nlimits.slotz = 3\n");
    insta::assert_snapshot!(error(&text, &[]), @r"
    plain.toml:10:8: unknown field `slotz` in hosts.user.limits
       |
    10 | limits.slotz = 3
       |        ^^^^^
    hint: did you mean `slots`?
    ");
    let text = PLAIN.replace("count = 9\n", "count = 9\nprofile = \"aria2\"\nlimits.rechoke = \"7 s\"\n");
    let error = error(&text, &[]);
    assert!(error.starts_with("plain.toml:10:1: `optimistic` is 30 s, no multiple of `rechoke`"), "{error}");
}

#[test]
fn a_resolved_scenario_has_the_profile_spelled_out() {
    for profile in profiles() {
        let scenario = scenario(&[&format!("hosts.user.profile={}", profile.name)]);
        let resolved = scenario.resolved_toml();
        assert_eq!(Scenario::from_toml(&resolved, "resolved.toml").unwrap(), scenario);
        let alone = resolved.replace(&format!("profile = \"{}\"\n", profile.name), "");
        let mut unnamed = scenario.clone();
        unnamed.hosts.get_mut("user").unwrap().profile = None;
        assert_eq!(Scenario::from_toml(&alone, "resolved.toml").unwrap(), unnamed, "without its name, too");
    }
}

#[test]
fn profiles_say_the_same_fields_and_each_with_its_source() {
    let fields = |profile: &'static Profile| {
        let fields = profile.settings.iter().map(|setting| setting.field.as_str());
        fields.filter(|field| !OF_SOME.contains(field)).collect::<Vec<_>>()
    };
    let sorted = |profile| {
        let mut fields = fields(profile);
        fields.sort_unstable();
        fields
    };
    for profile in profiles() {
        assert_eq!(sorted(profile), sorted(&profiles()[0]), "{}", profile.name);
        assert!(profile.about.ends_with('.'), "{}", profile.about);
        for setting in &profile.settings {
            assert!(setting.source.len() > 5, "{}: {setting:?}", profile.name);
        }
    }
}

/// Of the clients that were watched: blocks in flight after an unchoke, reserved bytes, unchokes before interest.
#[test]
fn profiles_agree_with_what_was_measured() {
    let class = |name: &str| class_of(profiles().iter().find(|profile| profile.name == name).unwrap());
    assert_eq!((class("rqbit").limits.min_requests, class("rqbit").limits.max_requests), (128, 128));
    assert_eq!(class("aria2").limits.min_requests, 6);
    let fast = profiles().iter().filter(|profile| class_of(profile).fast_extension);
    assert_eq!(
        fast.map(|profile| profile.name).collect::<Vec<_>>(),
        ["libtorrent", "transmission", "aria2", "webtorrent"]
    );
    assert_eq!(class("mainline").limits.slots, Slots::Fixed(4));
    assert_eq!(class("libtorrent").limits.rechoke, Span::from_secs(15));
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut names: Vec<_> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let mut embedded: Vec<_> = profiles().iter().map(|profile| profile.name.to_owned()).collect();
    names.sort();
    embedded.sort();
    assert_eq!(names, embedded);
}

#[test]
fn the_page_is_up_to_date() {
    let written = page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(FILE, &written).unwrap();
    }
    let stored = fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        stored == written,
        "docs/reference/profiles.md is stale: UPDATE=1 cargo test -p torrentlab-scenarios --test profiles"
    );
}

fn page() -> String {
    let mut out = INTRO.to_owned();
    let names = profiles().iter().map(|profile| format!(" `{}` |", profile.name)).collect::<String>();
    write!(out, "\n## Side by side\n\n| |{names}\n|---|{}\n", "---|".repeat(profiles().len())).unwrap();
    let fields = profiles()[0].settings.iter().map(|setting| setting.field.as_str());
    for field in fields.chain(OF_SOME) {
        write!(out, "| `{field}` |").unwrap();
        for profile in profiles() {
            let same = profile.settings.iter().find(|other| other.field == field);
            write!(out, " {} |", same.map_or("", |same| same.value.trim_matches('"'))).unwrap();
        }
        out += "\n";
    }
    for profile in profiles() {
        write!(out, "\n## `{}`\n\n{}\n\n", profile.name, profile.about).unwrap();
        out += "| field | value | source |\n|---|---|---|\n";
        for setting in &profile.settings {
            let source = setting.source.replace('|', "\\|");
            writeln!(out, "| `{}` | `{}` | {source} |", setting.field, setting.value).unwrap();
        }
    }
    out
}
