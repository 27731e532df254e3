#!/usr/bin/env python3
"""compare.py [--repeat N] [--jobs N] [--only TEXT] [--smoke]: how long the TCP of Linux takes to move bytes over given
links, and how long the simulator says that it takes. Prints two Markdown tables, which docs/reference/links.md keeps;
exits 1 where a time differs by more than 5%.

Needs root for network namespaces, and `cargo build --release -p torrentlab-simulator --example flow`. Everything happens
in namespaces that go with the script, whatever ends it.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import statistics
import subprocess
import sys

import flows
from flows import Flow
from namespaces import Links

ROOT = pathlib.Path(__file__).resolve().parents[3]
SIMULATOR = ROOT / "target/release/examples/flow"
BACKENDS = ["des"]
BOUND_PERCENT = 5
KIB, MIB, MBIT = 1 << 10, 1 << 20, 1_000_000
# The simulator has no default of its own for the receive window; Linux tunes it, up to this order.
WINDOW = 4 * MIB
# Seconds that contending flows run.
CONTENTION_S = 30

# `bottleneck`: the sender's uplink, the receiver's downlink (the other is four times as fast), or the window.
Single = collections.namedtuple("Single", "bottleneck mbit rtt_ms queue_kib mib")
Contention = collections.namedtuple("Contention", "senders receivers up_mbit down_mbit rtt_ms queue_kib")


def singles():
    """64 MiB only where they pass within 40 s."""
    for mbit in (2, 8, 20, 50):
        for rtt_ms in (0, 40, 100, 200):
            for mib in (1, 16, 64):
                if mib * 8 <= 40 * mbit or mib == 16:
                    yield Single("uplink", mbit, rtt_ms, 128, mib)
    for mbit, rtt_ms, queue_kib in ((8, 40, 128), (20, 40, 128), (20, 100, 128), (50, 40, 128), (50, 100, 256)):
        for mib in (1, 16):
            yield Single("downlink", mbit, rtt_ms, queue_kib, mib)
    for rtt_ms in (40, 100):
        yield Single("window", 50, rtt_ms, 128, 16)


def contentions():
    for rtt_ms in (40, 100):
        yield Contention(5, 1, 8, 8, rtt_ms, 128)
        yield Contention(1, 5, 8, 8, rtt_ms, 128)


def is_unscaled(case):
    return case.bottleneck == "window"


def rates(case):
    """Bits a second, up and down."""
    mbit = case.mbit * MBIT
    return {"uplink": (mbit, 4 * mbit), "downlink": (4 * mbit, mbit), "window": (mbit, mbit)}[case.bottleneck]


def linux_single(case):
    """Seconds, and segments sent again. Without latency the two hosts have a cable, no hub."""
    flow = Flow(0, 1, case.mib * MIB, is_unscaled(case))
    up, down = rates(case)
    if case.rtt_ms == 0:
        result = flows.over_cable(up, flow, 600)
    else:
        links = [Links(up, down, case.queue_kib * KIB)] * 2
        (result,), hub = flows.over_hub(links, case.rtt_ms * 500_000, [flow], 600)
        assert hub.is_punctual(), f"{case}: the hub was late, the machine is too busy"
    return flows.seconds_of(result), result["retransmitted"]


def linux_contention(case):
    """Bytes that each flow moved."""
    pairs = [(s, case.senders + r) for s in range(case.senders) for r in range(case.receivers)]
    links = [Links(case.up_mbit * MBIT, case.down_mbit * MBIT, case.queue_kib * KIB)] * (case.senders + case.receivers)
    contenders = [Flow(*pair, 1 << 40) for pair in pairs]
    results, _ = flows.over_hub(links, case.rtt_ms * 500_000, contenders, CONTENTION_S)
    return [result["bytes"] for result in results]


def simulate(backend, up, down, **options):
    """Of each flow: its seconds, or `None`, and its bytes."""
    words = [SIMULATOR, "--backend", backend, "--up", f"{up} bit/s", "--down", f"{down} bit/s"]
    for name, value in options.items():
        words += ["--" + name, str(value)]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
    pairs = (line.split() for line in lines)
    return [(None if seconds == "-" else float(seconds), int(nbytes)) for seconds, nbytes in pairs]


def simulated_single(backend, case):
    window = 65_535 if is_unscaled(case) else WINDOW
    (result,) = simulate(
        backend,
        *rates(case),
        bytes=f"{case.mib} MiB",
        rtt=f"{case.rtt_ms} ms",
        queue=f"{case.queue_kib} KiB",
        window=f"{window} B",
    )
    return result[0]


def simulated_contention(backend, case):
    results = simulate(
        backend,
        case.up_mbit * MBIT,
        case.down_mbit * MBIT,
        bytes=f"{1 << 20} MiB",
        rtt=f"{case.rtt_ms} ms",
        queue=f"{case.queue_kib} KiB",
        senders=case.senders,
        receivers=case.receivers,
        until=f"{CONTENTION_S} s",
    )
    return [nbytes for _, nbytes in results]


def jain(shares):
    """Jain's index: 1 where all are equal."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def percent(ours, theirs):
    return 100 * (ours / theirs - 1)


def print_table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def compare_singles(cases, repeat, pool):
    """Prints the table of single flows; the cases that differ by more than the bound."""
    runs = {case: [pool.submit(linux_single, case) for _ in range(repeat)] for case in by_length(cases)}
    worst = []

    def row(case):
        results = [run.result() for run in runs[case]]
        seconds = [seconds for seconds, _ in results]
        linux = statistics.median(seconds)
        ours = [simulated_single(backend, case) for backend in BACKENDS]
        differences = [percent(one, linux) for one in ours]
        if max(map(abs, differences)) > BOUND_PERCENT:
            worst.append(case)
        again = round(statistics.median(count for _, count in results))
        spread = f"{min(seconds):.3f}–{max(seconds):.3f}"
        return [*case, f"{linux:.3f}", spread, again, *(f"{one:.3f}" for one in ours), *(f"{one:+.1f}%" for one in differences)]

    names = ["bottleneck", "Mbit/s", "RTT ms", "queue KiB", "MiB", "Linux s", "from–to", "sent again"]
    print_table([*names, *(f"{one} s" for one in BACKENDS), *(f"{one} – Linux" for one in BACKENDS)], map(row, cases))
    return worst


def by_length(cases):
    """The longest first, so that none is left running alone."""
    return sorted(cases, key=lambda case: case.mib / case.mbit, reverse=True)


def compare_contention(cases, pool):
    runs = [(case, pool.submit(linux_contention, case)) for case in cases]

    def row(case, run):
        columns = []
        for moved in [run.result(), *(simulated_contention(backend, case) for backend in BACKENDS)]:
            columns += [f"{sum(moved) * 8 / CONTENTION_S / MBIT:.2f}", f"{jain(moved):.3f}"]
        return [*case, *columns]

    names = ["senders", "receivers", "up Mbit/s", "down Mbit/s", "RTT ms", "queue KiB"]
    columns = [f"{one} {what}" for one in ["Linux", *BACKENDS] for what in ("Mbit/s", "Jain")]
    print_table([*names, *columns], (row(*run) for run in runs))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    cases = [case for case in singles() if options.only in str(case)]
    if options.smoke:
        cases, options.repeat = [Single("uplink", 8, 40, 128, 1)], 1
    # Each run forks its hosts, which must die with it: so processes, not threads.
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        worst = compare_singles(cases, options.repeat, pool)
        if not options.smoke:
            print()
            compare_contention([case for case in contentions() if options.only in str(case)], pool)
    if worst:
        sys.exit(f"more than {BOUND_PERCENT}% apart: {worst}")


main()
