#!/usr/bin/env python3
"""How long the TCP of Linux takes to move bytes over given links, and how long the simulator says that it takes.

Prints the Markdown tables that docs/reference/links.md keeps: single flows, flows that meet a shallow queue, and flows
that share a link. Exits 1 where a time of the first table differs by more than 5%.

Needs root for network namespaces, and `cargo build --release -p torrentlab-simulator --example flow`. Everything happens
in namespaces that go with the script, whatever ends it. `FLOW` may name another build of the example.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys

import flows
from flows import Flow
from namespaces import Links, die_with_parent

ROOT = pathlib.Path(__file__).resolve().parents[3]
SIMULATOR = os.environ.get("FLOW", ROOT / "target/release/examples/flow")
BOUND_PERCENT = 5
KIB, MIB, MBIT = 1 << 10, 1 << 20, 1_000_000
# The simulator has no default of its own for the receive window; Linux tunes it, up to this order.
WINDOW = 4 * MIB
# Seconds after which a single flow is given up.
LIMIT_S = 600
# Seconds that contending flows run.
CONTENTION_S = 30

# Mbit/s, round trip in ms, KiB of queue: at least 0.3 of the bandwidth-delay product.
DOWNLINKS = [(2, 40, 128), (8, 40, 128), (8, 200, 128), (20, 40, 128), (20, 100, 128), (50, 40, 128), (50, 100, 256)]
DOWNLINKS += [(50, 200, 512)]
# `bottleneck`: the sender's uplink, the receiver's downlink (the other is four times as fast), or the window.
Single = collections.namedtuple("Single", "bottleneck mbit rtt_ms queue_kib mib")
Contention = collections.namedtuple("Contention", "senders receivers up_mbit down_mbit rtt_ms queue_kib")


def singles():
    """What passes within some 40 s."""
    for mbit in (2, 8, 20, 50):
        for rtt_ms in (0, 40, 100, 200):
            for mib in (1, 16, 64):
                if mib * 8 <= 40 * mbit:
                    yield Single("uplink", mbit, rtt_ms, 128, mib)
    for mbit, rtt_ms, queue_kib in DOWNLINKS:
        for mib in (1, 16):
            if mib * 8 <= 40 * mbit:
                yield Single("downlink", mbit, rtt_ms, queue_kib, mib)
    for rtt_ms in (40, 100):
        yield Single("window", 50, rtt_ms, 128, 16)


def shallow():
    """The downlink's queue holds less than 0.3 of the path's bandwidth-delay product: what the model leaves out."""
    for mbit, rtt_ms in ((20, 200), (50, 100), (50, 200)):
        for mib in (1, 16):
            yield Single("downlink", mbit, rtt_ms, 128, mib)


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
        result = flows.over_cable(up, flow, LIMIT_S)
        return flows.seconds_of(result), result["retransmitted"]
    links = [Links(up, down, case.queue_kib * KIB)] * 2
    for _ in range(5):
        (result,), hub = flows.over_hub(links, case.rtt_ms * 500_000, [flow], LIMIT_S)
        if hub.is_punctual():
            return flows.seconds_of(result), result["retransmitted"]
    raise TimeoutError(f"{case}: the hub was late five times, the machine is too busy")


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


def print_table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def single_row(case, results, backends):
    """A row of the table, and by how many percent the simulator is off at most."""
    seconds = [seconds for seconds, _ in results]
    linux = statistics.median(seconds)
    again = round(statistics.median(count for _, count in results))
    ours = [simulated_single(backend, case) for backend in backends]
    off = [100 * (one / linux - 1) for one in ours]
    spread = f"{min(seconds):.3f}–{max(seconds):.3f}"
    columns = [f"{linux:.3f}", spread, again, *(f"{one:.3f}" for one in ours), *(f"{one:+.1f}%" for one in off)]
    return [*case, *columns], max(map(abs, off))


def print_singles(cases, measured, backends):
    """The cases that differ by more than the bound."""
    names = ["bottleneck", "Mbit/s", "RTT ms", "queue KiB", "MiB", "Linux s", "from–to", "sent again"]
    rows = {case: single_row(case, measured[str(case)], backends) for case in cases}
    head = [*names, *(f"{one} s" for one in backends), *(f"{one} – Linux" for one in backends)]
    print_table(head, (row for row, _ in rows.values()))
    return [case for case, (_, off) in rows.items() if off > BOUND_PERCENT]


def print_contentions(cases, measured, backends):
    def row(case):
        columns = []
        for moved in [measured[str(case)][0], *(simulated_contention(backend, case) for backend in backends)]:
            columns += [f"{sum(moved) * 8 / CONTENTION_S / MBIT:.2f}", f"{jain(moved):.3f}"]
        return [*case, *columns]

    names = ["senders", "receivers", "up Mbit/s", "down Mbit/s", "RTT ms", "queue KiB"]
    columns = [f"{one} {what}" for one in ["Linux", *backends] for what in ("Mbit/s", "Jain")]
    print_table([*names, *columns], map(row, cases))


def measure(cases, repeat, jobs, keep):
    """What Linux does, by case; what the file `keep` has is not measured again, and what is measured goes there."""
    measured = json.loads(keep.read_text()) if keep and keep.exists() else {}
    missing = [case for case in cases if str(case) not in measured]
    # Each run forks its hosts, which must die with it: so processes, not threads.
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=die_with_parent) as pool:
        runs = {}
        # The longest first, so that none is left running alone.
        for case in sorted(missing, key=expected_s, reverse=True):
            linux, times = (linux_single, repeat) if isinstance(case, Single) else (linux_contention, 1)
            runs[str(case)] = [pool.submit(linux, case) for _ in range(times)]
        for case, several in runs.items():
            measured[case] = [run.result() for run in several]
            if keep:
                keep.write_text(json.dumps(measured))
    return measured


def expected_s(case):
    return case.mib * 8 / case.mbit if isinstance(case, Single) else CONTENTION_S


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each single flow (3)")
    parser.add_argument("--jobs", type=int, default=3, help="measurements under way at a time (3)")
    parser.add_argument("--backend", action="append", help="of the simulator, once or more (des)")
    parser.add_argument("--linux", type=pathlib.Path, help="a file that keeps what Linux does, and has it the next time")
    parser.add_argument("--smoke", action="store_true", help="one measurement of a second")
    options = parser.parse_args()
    backends = options.backend or ["des"]
    tables = [list(singles()), list(shallow()), list(contentions())]
    if options.smoke:
        tables, options.repeat = [[Single("uplink", 8, 40, 128, 1)], [], []], 1
    measured = measure(sum(tables, []), options.repeat, options.jobs, options.linux)
    apart = print_singles(tables[0], measured, backends)
    if not options.smoke:
        print_singles(tables[1], measured, backends)
        print_contentions(tables[2], measured, backends)
    if apart:
        sys.exit(f"more than {BOUND_PERCENT}% apart: {apart}")


main()
