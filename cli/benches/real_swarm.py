#!/usr/bin/env python3
"""real_swarm.py [--seed UP/DOWN] [--leechers N:UP/DOWN]... [--size MiB] [--piece KiB] [--runs N] [--strangers]

Runs a swarm of libtorrent clients, each in a network namespace of its own whose links `tc tbf` holds to UP and DOWN
Mbit/s, and prints a Markdown table of what a simulated run gives too. It is what `real-swarm-a` is compared with.

The seed is there 3 s before the leechers, which all come at once; nobody leaves. Needs root, iproute2, a kernel with
tbf, `target/release/torrentlab` (or another, named by `TORRENTLAB`) as the tracker, and libtorrent's Python package
(`LT_PYTHON` names a python that has it). All settings are libtorrent's defaults but these: no DHT, LSD, UPnP, NAT-PMP
or uTP, and `min_announce_interval` 2 s. TCP is cubic, which
`net.ipv4.tcp_allowed_congestion_control` of the machine has to allow, and the MTU 1500.

The hosts have addresses of 10.77.0.0/16, which libtorrent takes for local ones: it unchokes local peers whatever the
number of slots (`ignore_unchoke_slots` of the peer class "local"). With --strangers they have addresses of
198.18.0.0/15 (for benchmarks, RFC 2544) and have to compete for its 8 slots.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
TORRENTLAB = os.environ.get("TORRENTLAB", HERE.parents[2] / "target/release/torrentlab")
SWITCH = f"rs{os.getpid()}"
LOCAL, STRANGE = "10.77", "198.18"
# Bytes that wait before an uplink and a downlink at most.
QUEUES = {"up": "64kb", "down": "128kb"}


def client(torrent, folder, address, seeds):
    """One libtorrent client, from the time that it is told until SIGTERM: when it had each piece, and what it sent and
    wasted."""
    import libtorrent as lt
    mask = lt.alert.category_t
    session = lt.session({
        "listen_interfaces": f"{address}:6881", "outgoing_interfaces": address,
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "enable_incoming_utp": False, "enable_outgoing_utp": False, "min_announce_interval": 2,
        "alert_mask": int(mask.piece_progress_notification) | int(mask.status_notification),
    })
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if seeds:
        params.flags |= lt.torrent_flags.seed_mode
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    print("ready", flush=True)
    start_at = float(sys.stdin.readline())
    time.sleep(max(0, start_at - time.time()))
    handle = session.add_torrent(params)
    pieces, finished = {}, None
    while not stopped:
        session.wait_for_alert(100)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.piece_finished_alert):
                pieces[alert.piece_index] = time.time() - start_at
            elif isinstance(alert, lt.torrent_finished_alert) and not seeds and finished is None:
                finished = time.time() - start_at
                print("finished", flush=True)
    status = handle.status()
    waste = status.total_redundant_bytes + status.total_failed_bytes
    print(json.dumps({"finished": finished, "pieces": pieces, "sent": status.total_payload_upload, "waste": waste}))
    sys.stdout.flush()
    os._exit(0)  # Nothing is to be kept, and taking leave of the tracker takes time.


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def shape(namespace, device, mbit, queue):
    """Holds what leaves by `device` to a rate. Segments go one by one, so that the link sees them as a wire would."""
    run("ip", "-n", namespace, "link", "set", device, "gso_max_segs", 1)
    run("ip", "netns", "exec", namespace, "tc", "qdisc", "add", "dev", device, "root", "tbf",
        "rate", f"{mbit}mbit", "burst", 5000, "limit", queue)


@contextlib.contextmanager
def network(links, prefix):
    """A switch, and a namespace for each host: their names and addresses."""
    made = []

    def namespace(name):
        run("ip", "netns", "add", name)
        made.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic")

    try:
        namespace(SWITCH)
        run("ip", "-n", SWITCH, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", SWITCH, "addr", "add", f"{prefix}.255.254/16", "dev", "br0")
        run("ip", "-n", SWITCH, "link", "set", "br0", "up")
        hosts = []
        for at, (up, down) in enumerate(links):
            name, port, address = f"{SWITCH}h{at}", f"h{at}", f"{prefix}.0.{at + 1}"
            namespace(name)
            run("ip", "-n", SWITCH, "link", "add", port, "type", "veth", "peer", "eth0", "netns", name)
            run("ip", "-n", SWITCH, "link", "set", port, "master", "br0", "up")
            run("ip", "-n", name, "addr", "add", f"{address}/16", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            shape(name, "eth0", up, QUEUES["up"])
            shape(SWITCH, port, down, QUEUES["down"])
            hosts.append((name, address))
        yield hosts
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False)


def swarm(base, torrent, links, prefix):
    """Runs the swarm once: what each client said at its end."""
    python = os.environ.get("LT_PYTHON", sys.executable)
    with network(links, prefix) as hosts, contextlib.ExitStack() as running:
        def start(namespace, log, *line):
            words = ["ip", "netns", "exec", namespace, *(str(word) for word in line)]
            output = {"stdout": log.open("w"), "stderr": subprocess.STDOUT}
            process = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, **output)
            running.callback(process.kill)
            return process

        def wait_for(word, logs, seconds):
            give_up = time.time() + seconds
            while not all(word in log.read_text() for log in logs):
                if time.time() > give_up or any(client.poll() is not None for client in clients):
                    sys.exit("a client came to nothing:\n" + "\n".join(log.read_text() for log in logs))
                time.sleep(0.2)

        start(SWITCH, base / "tracker.log", TORRENTLAB, "track", "--http", f"{prefix}.255.254:6969", "--interval", "60 s")
        clients, logs = [], []
        for at, (namespace, address) in enumerate(hosts):
            folder, role = (base, "seed") if at == 0 else (base / f"out{at}", "leech")
            logs.append(base / f"{at}.log")
            clients.append(start(namespace, logs[-1], python, HERE, "client", torrent, folder, address, role))
        wait_for("ready", logs, 120)
        begin = time.time() + 4
        for at, process in enumerate(clients):
            print(begin - 3 if at == 0 else begin, file=process.stdin, flush=True)
        wait_for("finished", logs[1:], 3600)
        for process in clients:
            process.send_signal(signal.SIGTERM)
        for process in clients:
            process.wait(30)
        said = [json.loads(log.read_text().splitlines()[-1]) for log in logs]
        return [host | {"wire": wire_bytes(namespace)} for host, (namespace, _) in zip(said, hosts)]


def wire_bytes(namespace):
    """What has left by a host's uplink, Ethernet headers included."""
    line = ["ip", "netns", "exec", namespace, "tc", "-s", "-j", "qdisc", "show", "dev", "eth0"]
    return json.loads(subprocess.run(line, check=True, capture_output=True).stdout)[0]["bytes"]


def quartiles(values):
    """Least, quartiles and greatest, by nearest rank, as the simulator's reports have them."""
    ordered = sorted(values)
    rank = lambda q: ordered[max(0, -(-len(ordered) * q // 100) - 1)]
    return ordered[0], rank(25), rank(50), rank(75), ordered[-1]


def row(hosts, size):
    """One run's figures."""
    seed, leechers = hosts[0], hosts[1:]
    spreads = []
    for piece in leechers[0]["pieces"]:
        times = [host["pieces"][piece] for host in leechers]
        spreads.append(max(times) - min(times))
    bootstrap = [min(host["pieces"].values()) for host in leechers]
    return [*quartiles([host["finished"] for host in leechers]), quartiles(bootstrap)[2], quartiles(spreads)[2],
            seed["sent"] / size, sum(host["waste"] for host in leechers) / 2**20,
            100 * (sum(host["wire"] for host in hosts) / sum(host["sent"] for host in hosts) - 1)]


def rates(text):
    up, _, down = text.partition("/")
    return float(up), float(down)


def crowd(text):
    count, _, links = text.partition(":")
    return [rates(links)] * int(count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=rates, default="4/8", metavar="UP/DOWN")
    parser.add_argument("--leechers", type=crowd, action="append", metavar="N:UP/DOWN")
    parser.add_argument("--size", type=int, default=32, metavar="MiB")
    parser.add_argument("--piece", type=int, default=256, metavar="KiB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--strangers", action="store_true")
    options = parser.parse_args()
    prefix = STRANGE if options.strangers else LOCAL
    crowds = options.leechers or [crowd("16:2/8")]
    links = [options.seed, *(host for crowd in crowds for host in crowd)]
    columns = ["min", "q1", "median", "q3", "max", "first piece", "first to last copy", "seed's copies", "waste MiB",
               "overhead %"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder)
            (base / "file").write_bytes(os.urandom(options.size << 20))
            torrent = base / "swarm.torrent"
            run(TORRENTLAB, "create", base / "file", "-o", torrent, "-q", "--announce",
                f"http://{prefix}.255.254:6969/announce", "--piece-length", f"{options.piece} KiB")
            figures = row(swarm(base, torrent, links, prefix), options.size << 20)
        print("| " + " | ".join(f"{figure:.4g}" for figure in figures) + " |", flush=True)


if sys.argv[1:2] == ["client"]:
    client(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5] == "seed")
else:
    main()
