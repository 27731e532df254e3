//! Every error of a scenario says where, what, and what to do.

use insta::assert_snapshot;
use proptest::prelude::*;
use torrentlab_scenarios::read;

const GOOD: &str = r#"schema = 1
name = "my"

[content]
size = "1 MiB"
piece_size = "256 KiB"

[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "1 Mbit/s", down = "2 Mbit/s" }

[hosts.leecher]
count = 10
stay = "none"

[hosts.leecher.links]
up = "400 kbit/s"
down = "1500 kbit/s"
"#;

/// The error of the good scenario with `new` in place of `old`.
fn error_with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    error_of(&GOOD.replace(old, new), &[])
}

/// The error of the good scenario with these overrides.
fn error_set(sets: &[&str]) -> String {
    error_of(GOOD, sets)
}

fn error_of(text: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    read(text, "my.toml", &sets).map_or_else(|error| error.to_string(), |_| "no error".to_owned())
}

#[test]
fn a_slip_of_the_pen_gets_the_right_word() {
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, r#"ups = "400 kbit/s""#), @r##"
    my.toml:18:1: unknown field `ups` in hosts.leecher.links
       |
    18 | ups = "400 kbit/s"
       | ^^^
    hint: did you mean `up`?
    "##);
    assert_snapshot!(error_with("[hosts.leecher.links]", "[hosts.leecher.lnks]"), @r##"
    my.toml:17:16: unknown field `lnks` in hosts.leecher
       |
    17 | [hosts.leecher.lnks]
       |                ^^^^
    hint: did you mean `links`?
    "##);
    assert_snapshot!(error_with(r#"behaviour = "seed""#, r#"behaviour = "sead""#), @r##"
    my.toml:10:13: `sead` is none of the choices
       |
    10 | behaviour = "sead"
       |             ^^^^^^
    hint: did you mean `seed`?
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, r#"stay = { exponental = "10 s" }"#), @r##"
    my.toml:15:10: `exponental` is none of the choices
       |
    15 | stay = { exponental = "10 s" }
       |          ^^^^^^^^^^
    hint: did you mean `exponential`?
    "##);
    assert_snapshot!(error_with(r#"size = "1 MiB""#, "size = \"1 MiB\"\nbanana = 1"), @r##"
    my.toml:6:1: unknown field `banana` in content
      |
    6 | banana = 1
      | ^^^^^^
    hint: there are: size, piece_size
    "##);
}

#[test]
fn a_quantity_needs_its_unit() {
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, "up = 5"), @r##"
    my.toml:18:6: unexpected integer `5`
       |
    18 | up = 5
       |      ^
    hint: write a rate in quotes, such as "2 Mbit/s"
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, r#"up = "5""#), @r##"
    my.toml:18:6: `5` has no unit
       |
    18 | up = "5"
       |      ^^^
    hint: write a rate such as "2 Mbit/s"
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, "up = 2 Mbit/s"), @r##"
    my.toml:18:6: string values must be quoted
       |
    18 | up = 2 Mbit/s
       |      ^^^^^^^^
    hint: text and quantities stand in quotes: up = "2 Mbit/s"
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, r#"up = "2 Mbt/s""#), @r##"
    my.toml:18:6: `Mbt/s` is no unit of a rate
       |
    18 | up = "2 Mbt/s"
       |      ^^^^^^^^^
    hint: write one of bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s, MB/s, GB/s, KiB/s, MiB/s, GiB/s, such as "2 Mbit/s"
    "##);
    assert_snapshot!(error_with(r#"size = "1 MiB""#, r#"size = "1 megabyte""#), @r##"
    my.toml:5:8: `megabyte` is no unit of a size
      |
    5 | size = "1 megabyte"
      |        ^^^^^^^^^^^^
    hint: write one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, such as "256 KiB"
    "##);
}

#[test]
fn a_quantity_is_neither_negative_nor_endless_nor_too_fine() {
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, r#"up = "-2 Mbit/s""#), @r##"
    my.toml:18:6: `-2 Mbit/s` is negative
       |
    18 | up = "-2 Mbit/s"
       |      ^^^^^^^^^^^
    hint: write a rate such as "2 Mbit/s"
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, r#"up = "99999999999 Gbit/s""#), @r##"
    my.toml:18:6: `99999999999 Gbit/s` is too large
       |
    18 | up = "99999999999 Gbit/s"
       |      ^^^^^^^^^^^^^^^^^^^^
    hint: write a rate such as "2 Mbit/s"
    "##);
    assert_snapshot!(error_with(r#"size = "1 MiB""#, r#"size = "1.3 B""#), @r##"
    my.toml:5:8: `1.3 B` is not a whole number of bytes
      |
    5 | size = "1.3 B"
      |        ^^^^^^^
    hint: write fewer decimals
    "##);
    assert_snapshot!(error_with("count = 10", "count = -1"), @r##"
    my.toml:14:9: unexpected integer `-1`
       |
    14 | count = -1
       |         ^^
    hint: write a whole number from 0 to 4294967295
    "##);
    assert_snapshot!(error_with("count = 10", "count = 5000000000"), @r##"
    my.toml:14:9: unexpected integer `5000000000`
       |
    14 | count = 5000000000
       |         ^^^^^^^^^^
    hint: write a whole number from 0 to 4294967295
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, "up = \"400 kbit/s\"\nlatency = \"50ms..10ms\""), @r##"
    my.toml:19:11: the range `50ms..10ms` ends before it begins
       |
    19 | latency = "50ms..10ms"
       |           ^^^^^^^^^^^^
    hint: write "10 ms..50 ms"
    "##);
}

#[test]
fn zero_rates_are_refused() {
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, r#"up = "0 kbit/s""#), @r##"
    my.toml:18:6: `hosts.leecher.links.up` is zero: nothing would ever get through
       |
    18 | up = "0 kbit/s"
       |      ^^^^^^^^^^
    hint: write a rate such as "1 Mbit/s"; one who gives nothing is behaviour = "free-rider"
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, "stay = \"none\"\nlimits.down = \"0 B/s\""), @r##"
    my.toml:16:15: `hosts.leecher.limits.down` is zero: nothing would ever get through
       |
    16 | limits.down = "0 B/s"
       |               ^^^^^^^
    hint: leave it out for no limit; one who gives nothing is behaviour = "free-rider"
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, "stay = \"none\"\narrival.poisson = \"0 /s\""), @r##"
    my.toml:16:19: nobody would ever come
       |
    16 | arrival.poisson = "0 /s"
       |                   ^^^^^^
    hint: write a rate such as "0.2 /s"
    "##);
}

#[test]
fn missing_and_misplaced_things() {
    assert_snapshot!(error_with("schema = 1\n", ""), @r##"
    my.toml:1:1: `schema` is missing
      |
    1 | name = "my"
      | ^
    hint: begin the file with: schema = 1
    "##);
    assert_snapshot!(error_with("schema = 1", "schema = 2"), @r##"
    my.toml:1:10: this version of torrentlab reads schema 1
      |
    1 | schema = 2
      |          ^
    hint: write schema = 1
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, ""), @r##"
    my.toml:17:1: `up` is missing
       |
    17 | [hosts.leecher.links]
       | ^^^^^^^^^^^^^^^^^^^^^
    hint: add `up = ...` to [hosts.leecher.links]
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, "stay = { weibull = { shape = 0.5 } }"), @r##"
    my.toml:15:20: `scale` is missing
       |
    15 | stay = { weibull = { shape = 0.5 } }
       |                    ^^^^^^^^^^^^^^^
    hint: add `scale = ...` to [hosts.leecher.stay.weibull]
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, "stay = [1]"), @r##"
    my.toml:15:8: unexpected list
       |
    15 | stay = [1]
       |        ^^^
    hint: write "none", "forever", a time such as "200 s", or a table such as { exponential = "200 s" }
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, r#"stay = "maybe""#), @r##"
    my.toml:15:8: `maybe` is not a time
       |
    15 | stay = "maybe"
       |        ^^^^^^^
    hint: write "none", "forever" or a time such as "200 s"
    "##);
    assert_snapshot!(error_with("count = 10", r#"count = "ten""#), @r##"
    my.toml:14:9: unexpected string "ten"
       |
    14 | count = "ten"
       |         ^^^^^
    hint: write a whole number from 0 to 4294967295
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, r#"arrival = { poisson = "1 /s", constant = "1 /s" }"#), @r##"
    my.toml:15:11: `hosts.leecher.arrival` takes one form, not several
       |
    15 | arrival = { poisson = "1 /s", constant = "1 /s" }
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: leave one; to change the form with --set, set the whole: hosts.leecher.arrival={ ... }
    "##);
    assert_snapshot!(error_with("[hosts.seed]", "[hosts.seed"), @r##"
    my.toml:8:12: unclosed table
      |
    8 | [hosts.seed
      |            ^
    hint: https://toml.io shows how TOML is written
    "##);
    assert_snapshot!(error_with("count = 10", "count = 10\ncount = 11"), @r##"
    my.toml:15:1: duplicate key
       |
    15 | count = 11
       | ^^^^^
    hint: write each field and each table once
    "##);
}

#[test]
fn a_swarm_without_a_seed_is_a_mistake_unless_it_is_meant() {
    assert_snapshot!(error_with(r#"behaviour = "seed""#, r#"behaviour = "normal""#), @r##"
    my.toml:8:2: nobody has anything: there is no seed
      |
    8 | [hosts.seed]
      |  ^^^^^
    hint: add a class with behaviour = "seed", or write allow_missing_pieces = true if that is the experiment
    "##);
    assert_snapshot!(error_with(r#"behaviour = "seed""#, r#"pieces = [0, "2-3"]"#), @r##"
    my.toml:8:2: nobody has piece 1
      |
    8 | [hosts.seed]
      |  ^^^^^
    hint: add a class with behaviour = "seed", or write allow_missing_pieces = true if that is the experiment
    "##);
    assert_snapshot!(error_with(r#"behaviour = "seed""#, r#"pieces = [0, "2-30"]"#), @r##"
    my.toml:10:10: there is no piece 30: the content has 4 pieces
       |
    10 | pieces = [0, "2-30"]
       |          ^^^^^^^^^^^
    hint: pieces are counted from 0: the last is 3
    "##);
    assert_snapshot!(error_with(r#"behaviour = "seed""#, "behaviour = \"seed\"\npieces = \"50%\""), @r##"
    my.toml:11:10: a seed has all pieces
       |
    11 | pieces = "50%"
       |          ^^^^^
    hint: leave `pieces` out, or write behaviour = "normal"
    "##);
}

#[test]
fn counts_and_shares_agree() {
    assert_snapshot!(error_with("count = 10", "count = 10\nshare = \"10%\""), @r##"
    my.toml:15:9: a class has a count or a share, not both
       |
    15 | share = "10%"
       |         ^^^^^
    hint: leave one of the two out
    "##);
    assert_snapshot!(error_with("count = 10", ""), @r##"
    my.toml:13:1: how many hosts?
       |
    13 | [hosts.leecher]
       | ^^^^^^^^^^^^^^^
    hint: add a count such as count = 100
    "##);
    assert_snapshot!(error_with("count = 10", r#"share = "100%""#), @r##"
    my.toml:14:9: a share of how many?
       |
    14 | share = "100%"
       |         ^^^^^^
    hint: add to the scenario: swarm.leechers = 100
    "##);
    assert_snapshot!(error_with("[hosts.leecher]\ncount = 10", "[swarm]\nleechers = 5\n[hosts.more]\nshare = \"9%\"\nlinks = { up = \"1 MB/s\", down = \"1 MB/s\" }\n[hosts.leecher]\nshare = \"90%\""), @r##"
    my.toml:16:9: the shares of the leechers make 99%, not 100%
       |
    16 | share = "9%"
       |         ^^^^
    hint: let the shares of all classes but the seeds add up to 100%
    "##);
    assert_snapshot!(error_with("[content]", "swarm.leechers = 5\n[content]"), @r##"
    my.toml:4:18: the number of leechers is given, but no class has a share of it
      |
    4 | swarm.leechers = 5
      |                  ^
    hint: write share = "100%" instead of the class's count, or leave this out
    "##);
    assert_snapshot!(error_with("count = 10", "count = 1_000_000"), @r##"
    my.toml:14:9: 1000001 hosts are too many: at most 1000000
       |
    14 | count = 1_000_000
       |         ^^^^^^^^^
    hint: lower the counts
    "##);
    assert_snapshot!(error_with("count = 10", r#"share = "101%""#), @r##"
    my.toml:14:9: `101%` is more than all
       |
    14 | share = "101%"
       |         ^^^^^^
    hint: write at most "100%"
    "##);
}

#[test]
fn sizes_and_numbers_are_sane() {
    assert_snapshot!(error_with(r#"size = "1 MiB""#, r#"size = "0 B""#), @r##"
    my.toml:5:8: there is nothing to share
      |
    5 | size = "0 B"
      |        ^^^^^
    hint: write a size such as "32 MiB"
    "##);
    assert_snapshot!(error_with(r#"piece_size = "256 KiB""#, r#"piece_size = "0 B""#), @r##"
    my.toml:6:14: a piece has 1 byte to 1 GiB, not 0 B
      |
    6 | piece_size = "0 B"
      |              ^^^^^
    hint: 256 KiB to 4 MiB is usual
    "##);
    assert_snapshot!(error_with(r#"size = "1 MiB""#, r#"size = "10 TiB""#), @r##"
    my.toml:6:14: 10 TiB in pieces of 256 KiB are 41943040 pieces: at most 4194304 are possible
      |
    6 | piece_size = "256 KiB"
      |              ^^^^^^^^^
    hint: choose larger pieces
    "##);
    assert_snapshot!(error_with(r#"name = "my""#, r#"name = "../my""#), @r##"
    my.toml:2:8: `../my` is no name for a scenario
      |
    2 | name = "../my"
      |        ^^^^^^^
    hint: a name has letters, digits, `-`, `_` and `.`: results go to a folder of that name
    "##);
    assert_snapshot!(error_with("[hosts.seed]", r#"[hosts."a b"]"#), @r##"
    my.toml:8:1: `a b` is no name for a class
      |
    8 | [hosts."a b"]
      | ^^^^^^^^^^^^^
    hint: a class's name has letters, digits, `-` and `_`
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, "limits = { optimistic_slots = 5 }"), @r##"
    my.toml:15:31: 5 of 4 slots cannot be optimistic
       |
    15 | limits = { optimistic_slots = 5 }
       |                               ^
    hint: `slots` includes the optimistic ones
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, r#"limits = { optimistic = "25 s" }"#), @r##"
    my.toml:15:25: `optimistic` is 25 s, no multiple of `rechoke`
       |
    15 | limits = { optimistic = "25 s" }
       |                         ^^^^^^
    hint: write a multiple of 10 s
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, r#"stay = { weibull = { shape = nan, scale = "1 min" } }"#), @r##"
    my.toml:15:30: a shape of NaN
       |
    15 | stay = { weibull = { shape = nan, scale = "1 min" } }
       |                              ^^^
    hint: write a number above 0, such as 0.59
    "##);
    assert_snapshot!(error_with(r#"stay = "none""#, "leave.after_copies = -1.0"), @r##"
    my.toml:15:22: a host cannot leave after -1 copies
       |
    15 | leave.after_copies = -1.0
       |                      ^^^^
    hint: write a number above 0, such as 1.5
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, "up = \"400 kbit/s\"\nsocket_buffer = \"16 KiB\""), @r##"
    my.toml:19:17: 16 KiB hold no block
       |
    19 | socket_buffer = "16 KiB"
       |                 ^^^^^^^^
    hint: write "17 KiB" or more: a block must fit
    "##);
    assert_snapshot!(error_with(r#"up = "400 kbit/s""#, "up = \"400 kbit/s\"\nloss = \"11%\""), @r##"
    my.toml:19:8: a loss of 11% stops TCP: time-outs rule
       |
    19 | loss = "11%"
       |        ^^^^^
    hint: write "10%" or less
    "##);
    assert_snapshot!(error_with("[content]", "record.sample = \"1 us\"\n[content]"), @r##"
    my.toml:4:17: samples are at least 10 ms apart
      |
    4 | record.sample = "1 us"
      |                 ^^^^^^
    hint: "1 s" or more is usual
    "##);
}

#[test]
fn an_override_is_shown_as_it_was_given() {
    assert_snapshot!(error_set(&["hosts.leecher.links.ups=1 Mbit/s"]), @r##"
    --set: unknown field `ups` in hosts.leecher.links
     |
     | hosts.leecher.links.ups=1 Mbit/s
     |                     ^^^
    hint: did you mean `up`?
    "##);
    assert_snapshot!(error_set(&["hosts.leechr.links.up=1 Mbit/s"]), @r##"
    --set: there is no class `leechr`
     |
     | hosts.leechr.links.up=1 Mbit/s
     |       ^^^^^^
    hint: did you mean `leecher`?
    "##);
    assert_snapshot!(error_set(&["hosts.leecher.links.up=1 Mbt/s"]), @r##"
    --set: `Mbt/s` is no unit of a rate
     |
     | hosts.leecher.links.up=1 Mbt/s
     |                        ^^^^^^^
    hint: write one of bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s, MB/s, GB/s, KiB/s, MiB/s, GiB/s, such as "2 Mbit/s"
    "##);
    assert_snapshot!(error_set(&[r#"hosts.leecher.links={ up = "1 Mbit/s" }"#]), @r##"
    --set: `down` is missing
     |
     | hosts.leecher.links={ up = "1 Mbit/s" }
     |                     ^^^^^^^^^^^^^^^^^^^
    hint: add `down = ...` to [hosts.leecher.links]
    "##);
    assert_snapshot!(error_set(&["hosts.new={ count = 1 }"]), @r##"
    --set: `links` is missing
     |
     | hosts.new={ count = 1 }
     |           ^^^^^^^^^^^^^
    hint: add `links = ...` to [hosts.new]
    "##);
    assert_snapshot!(error_set(&["content.piece_size=0 B"]), @r##"
    --set: a piece has 1 byte to 1 GiB, not 0 B
     |
     | content.piece_size=0 B
     |                    ^^^
    hint: 256 KiB to 4 MiB is usual
    "##);
    assert_snapshot!(error_set(&["until.time=0 s"]), @r##"
    --set: `until.time` is zero
     |
     | until.time=0 s
     |            ^^^
    hint: write a time such as "10 s"
    "##);
    assert_snapshot!(error_set(&["hosts.leecher.share=10%"]), @r##"
    --set: a class has a count or a share, not both
     |
     | hosts.leecher.share=10%
     |                     ^^^
    hint: leave one of the two out
    "##);
    assert_snapshot!(error_set(&["hosts.seed.count=1", "hosts.seed.behaviour=normal"]), @r##"
    my.toml:8:2: nobody has anything: there is no seed
      |
    8 | [hosts.seed]
      |  ^^^^^
    hint: add a class with behaviour = "seed", or write allow_missing_pieces = true if that is the experiment
    "##);
    assert_snapshot!(error_set(&["seed=99999999999999999999"]), @r##"
    --set: unexpected string "99999999999999999999"
     |
     | seed=99999999999999999999
     |      ^^^^^^^^^^^^^^^^^^^^
    hint: write a whole number from 0 to 4294967295
    "##);
}

#[test]
fn an_override_is_a_path_and_a_value() {
    assert_snapshot!(error_set(&["hosts.leecher.links.up"]), @r##"
    --set: `hosts.leecher.links.up` sets nothing
     |
     | hosts.leecher.links.up
     | ^^^^^^^^^^^^^^^^^^^^^^
    hint: write a field's path and its value, such as --set 'hosts.leecher.links.up="1 Mbit/s"'
    "##);
    assert_snapshot!(error_set(&["=5"]), @r##"
    --set: `` is no path of a field
     |
     | =5
     | ^
    hint: write a field's path and its value, such as --set 'hosts.leecher.links.up="1 Mbit/s"'
    "##);
    assert_snapshot!(error_set(&["a b=5"]), @r##"
    --set: `a b` is no path of a field
     |
     | a b=5
     | ^^^
    hint: write a field's path and its value, such as --set 'hosts.leecher.links.up="1 Mbit/s"'
    "##);
    assert_snapshot!(error_set(&["hosts.leecher.stay={ x"]), @r##"
    --set: `{ x` is no value
     |
     | hosts.leecher.stay={ x
     |                    ^^^
    hint: write a field's path and its value, such as --set 'hosts.leecher.links.up="1 Mbit/s"'
    "##);
    assert_snapshot!(error_set(&["seed="]), @r##"
    --set: `` is no value
     |
     | seed=
     |      ^
    hint: write a field's path and its value, such as --set 'hosts.leecher.links.up="1 Mbit/s"'
    "##);
}

#[test]
fn the_good_scenario_is_good() {
    assert_eq!(error_of(GOOD, &[]), "no error");
    let meant = GOOD.replace("behaviour = \"seed\"", "").replace("name", "allow_missing_pieces = true\nname");
    assert_eq!(error_of(&meant, &[]), "no error");
}

#[test]
fn the_last_override_wins_and_what_is_in_its_way_makes_room() {
    let sets = [
        "hosts.leecher.links.up=1 Mbit/s",
        "until.time=5 min",
        "hosts.leecher.links.up=2 MB/s",
        "name=\"your\"",
    ];
    let scenario = read(GOOD, "my.toml", &sets.map(str::to_owned)).unwrap().scenario;
    assert_eq!(scenario.hosts["leecher"].links.up.bytes_per_s(), Some(2_000_000));
    assert_eq!(scenario.hosts["leecher"].links.down.bits_per_s(), Some(1_500_000));
    assert_eq!(scenario.name, "your");
    assert!(scenario.resolved_toml().contains("[until]\ntime = \"5 min\""));
}

#[test]
fn an_error_found_later_is_shown_at_its_field_or_the_table_around_it() {
    let sets = ["hosts.leecher.picker=rarest".to_owned()];
    let source = read(GOOD, "my.toml", &sets).unwrap().source;
    let error = |path| source.error(path, "no such picker", "there are: rarest-first").to_string();
    assert!(
        error("hosts.leecher.picker")
            .starts_with("--set: no such picker\n |\n | hosts.leecher.picker=rarest\n")
    );
    assert!(error("hosts.seed.picker").starts_with("my.toml:8:1: no such picker\n  |\n8 | [hosts.seed]\n"));
}

/// A line that a scenario might have, or something like it.
fn line() -> impl Strategy<Value = String> {
    let good: Vec<&'static str> = GOOD.lines().collect();
    prop_oneof![
        4 => proptest::sample::select(good.clone()).prop_map(str::to_owned),
        1 => ".*",
        2 => (proptest::sample::select(good), any::<prop::sample::Index>(), "[\\PC\"=\\[{}.0-9-]{0,3}").prop_map(|(line, at, insert)| {
            let at = at.index(line.len() + 1);
            format!("{}{insert}{}", &line[..at], &line[at..])
        }),
    ]
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".*", set in ".*") {
        let _ = read(&text, "x.toml", &[set]).map_err(|error| error.to_string());
    }

    #[test]
    fn nearly_good_text_never_panics(lines in prop::collection::vec(line(), 0..25), set in "(hosts.leecher.links.|until.|hosts.)[a-z_.]{0,12}=\\PC{0,12}") {
        let text = lines.join("\n");
        let _ = read(&text, "x.toml", &[]).map_err(|error| error.to_string());
        let _ = read(GOOD, "x.toml", &[set]).map_err(|error| error.to_string());
    }

    #[test]
    fn one_changed_line_never_panics(position in 0usize..18, new in line()) {
        let mut lines: Vec<&str> = GOOD.lines().collect();
        lines[position] = &new;
        if let Ok(loaded) = read(&lines.join("\n"), "x.toml", &[]) {
            let resolved = loaded.scenario.resolved_toml();
            prop_assert_eq!(read(&resolved, "x.toml", &[]).unwrap().scenario, loaded.scenario);
        }
    }
}

/// A good scenario of contacts, for [`error_in_contacts`].
#[test]
fn peers_are_not_exchanged_where_some_ask_the_seeds_alone() {
    let sets = ["hosts.leecher.peers=seeds", "hosts.seed.peer_exchange=true"];
    assert_snapshot!(error_set(&sets), @r#"
    --set: where some ask the seeds alone, peers do not tell each other of others
     |
     | hosts.seed.peer_exchange=true
     |                          ^^^^
    hint: leave `peer_exchange` out, or `peers = "seeds"`
    "#);
    assert_eq!(error_set(&["hosts.leecher.peer_exchange=true", "hosts.seed.peer_exchange=true"]), "no error");
}

const CONTACTS: &str = r#"schema = 1
content = { size = "4 MB", piece_size = "1 MB" }
contacts.slotted.slot = "1 s"
[hosts.seed]
count = 1
behaviour = "seed"
[hosts.user]
count = 9
"#;

fn error_in_contacts(set: &str) -> String {
    error_of(CONTACTS, &[set])
}

#[test]
fn what_means_nothing_in_a_model_of_contacts_is_refused() {
    assert_eq!(error_of(CONTACTS, &[]), "no error");
    let unused = [
        ("hosts.user.links", r#"{ up = "1 Mbit/s", down = "1 Mbit/s" }"#),
        ("hosts.user.profile", "aria2"),
        ("hosts.user.limits", "{ slots = 5 }"),
        ("hosts.user.choker", "libtorrent"),
        ("hosts.user.region", "north"),
        ("hosts.user.peers", "seeds"),
        ("hosts.user.disk", r#"{ latency = "8 ms" }"#),
        ("hosts.seed.super_seeding", "true"),
        ("hosts.user.peer_exchange", "true"),
        ("hosts.user.canonical_priority", "true"),
        ("hosts.user.fast_extension", "false"),
        ("hosts.user.endgame", "false"),
        ("hosts.user.endgame_from", "last-pieces"),
        ("hosts.user.take_back", "false"),
        ("hosts.user.announce", "min-interval"),
        ("hosts.user.announce_completed", "false"),
        ("tracker", "{ numwant = 5 }"),
        ("network", r#"{ latency = "1 ms" }"#),
        ("fault", r#"[{ at = "1 s", target = "tracker", kind = "down" }]"#),
    ];
    for (field, value) in unused {
        let error = error_in_contacts(&format!("{field}={value}"));
        let expected = format!("`{field}` has no meaning where hosts meet by `contacts`");
        assert!(error.contains(&expected) && error.contains("hint: leave it out"), "{field}: {error}");
    }
}

#[test]
fn models_of_contacts_have_slots_that_are_full_and_rates_above_zero() {
    let cases = [
        ("content.size=4.5 MB", "the last piece is shorter than a slot"),
        ("contacts.slotted.slot=0 s", "`contacts.slotted.slot` is zero"),
        (r#"contacts={ random = { rate = "0 /s" } }"#, "nobody would ever meet anybody"),
        (
            r#"contacts={ random = { rate = "1 /s" }, slotted = { slot = "1 s" } }"#,
            "takes one form, not several",
        ),
        ("contacts.slotted.slots=3", "unknown field `slots`"),
    ];
    for (set, expected) in cases {
        let error = error_in_contacts(set);
        assert!(error.contains(expected) && error.contains("hint: "), "{set}: {error}");
    }
}

#[test]
fn without_contacts_there_are_links() {
    let error = error_of(&CONTACTS.replace("contacts.slotted.slot = \"1 s\"", ""), &[]);
    assert!(
        error.contains("`links` is missing") && error.contains("add `links = ...` to [hosts.seed]"),
        "{error}"
    );
}

/// The error of the good scenario with a claim that has `more`.
fn error_of_claim(more: &str) -> String {
    error_of(&format!("{GOOD}\n[[claim]]\nmetric = \"completed\"\nin = \"10\"\n{more}\n"), &[])
}

#[test]
fn a_claim_that_cannot_be_judged_is_refused() {
    assert_eq!(error_of_claim("with = [\"hosts.leecher.count=5\"]"), "no error");
    assert_snapshot!(error_of_claim("over = []\nminus = []"), @r##"
    my.toml:25:9: a claim is about a quotient or about a difference
       |
    25 | minus = []
       |         ^^
    hint: leave `over` or `minus` out
    "##);
    assert_snapshot!(error_of_claim("trend = { field = \"hosts.leecher.count\", values = [5] }"), @r##"
    my.toml:24:51: a trend needs 2 to 100 values that differ
       |
    24 | trend = { field = "hosts.leecher.count", values = [5] }
       |                                                   ^^^
    hint: write a list such as [5, 10, 20]
    "##);
    assert_snapshot!(error_of_claim("trend = { field = \"hosts.leecher.count\", values = [0, 5] }"), @r##"
    my.toml:24:51: a trend is by doublings: all its values are above 0
       |
    24 | trend = { field = "hosts.leecher.count", values = [0, 5] }
       |                                                   ^^^^^^
    hint: leave 0 and what is below out
    "##);
    assert_snapshot!(error_of_claim("confidence = \"100%\""), @r##"
    my.toml:24:14: an interval needs a level between 50% and 100%
       |
    24 | confidence = "100%"
       |              ^^^^^^
    hint: 95% is usual
    "##);
    assert_snapshot!(error_of_claim("runs = 0"), @r##"
    my.toml:24:8: a claim is judged over 1 to 10000 runs
       |
    24 | runs = 0
       |        ^
    hint: 5 is usual, 20 where runs differ much
    "##);
    assert_snapshot!(error_of_claim("in_range = 1"), @r##"
    my.toml:24:1: unknown field `in_range` in claim.0
       |
    24 | in_range = 1
       | ^^^^^^^^
    hint: there are: id, says, metric, in, with, over, minus, trend, confidence, runs, cause, control
    "##);
    assert_snapshot!(error_with("[content]", "[fit.'a b']\ncolumn = \"leechers\"\n[content]"), @r##"
    my.toml:4:1: `a b` is no name for a fit
      |
    4 | [fit.'a b']
      | ^^^^^^^^^^^
    hint: a fit's name has letters, digits, `-` and `_`
    "##);
}
