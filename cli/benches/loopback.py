#!/usr/bin/env python3
"""loopback.py [SIZE_MIB] [CLIENT...]: seeds a torrent to a client of the same kind on 127.0.0.1 and prints a Markdown
table: MiB a second, CPU seconds per GiB at each end, and both beside ours. 1,024 MiB, and all three, unless told.

CLIENT is `torrentlab` (built with `cargo build --release -p torrentlab`), `aria2` or `libtorrent` (`LT_PYTHON` names a
python that has it). Files lie in memory (/dev/shm) where there is such a place, so that no disk is measured.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ROOT / "target/release/torrentlab"
SCRIPTS = HERE.parent / "tests/interop"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def command(client, role, torrent, folder, work):
    """What runs `client`; `folder` is where the content's folder lies or goes."""
    port = str(free_port())
    if client == "torrentlab":
        place = ["--data", folder / "content"] if role == "seed" else ["--out", folder, "--seed-for", "1 h"]
        return [OURS, "seed" if role == "seed" else "get", torrent, *place, "--listen", "127.0.0.1:" + port]
    if client == "aria2":
        return [SCRIPTS / "aria2.sh", torrent, folder, port, work]
    return [os.environ.get("LT_PYTHON", "python3"), SCRIPTS / "lt_client.py", torrent, folder, port, work]


def cpu_s(pid):
    """CPU seconds of a process, user and system."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(line, log):
    return subprocess.Popen([str(word) for word in line], stdout=log.open("w"), stderr=subprocess.STDOUT)


def wait_for(what, happened):
    give_up = time.monotonic() + 300
    while not happened():
        if time.monotonic() > give_up:
            sys.exit(f"waited for {what}")
        time.sleep(0.02)


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def measure(client, torrent, base, port):
    """Seconds of the transfer, and CPU seconds of the seed and the leecher in it, with a tracker of their own."""
    log = base / f"{client} tracker.log"
    tracker = start([OURS, "track", "--http", f"127.0.0.1:{port}", "--interval", "10 s"], log)
    wait_for("the tracker", lambda: "http" in log.read_text())
    seed_work, leech_work, out = (base / f"{client} {name}" for name in ("seed", "leech", "out"))
    for folder in (seed_work, leech_work, out):
        folder.mkdir()
    seed = start(command(client, "seed", torrent, base, seed_work), seed_work / "log")
    # Until it has checked its files and announced itself.
    wait_for(f"{client} to seed", lambda: has_members(port))
    before, begun = cpu_s(seed.pid), time.monotonic()
    leech = start(command(client, "leech", torrent, out, leech_work), leech_work / "log")
    log = leech_work / "log"
    done = lambda: (leech_work / "done").exists() or "complete" in log.read_text().split()
    wait_for(f"{client} to fetch", done)
    took, costs = time.monotonic() - begun, (cpu_s(seed.pid) - before, cpu_s(leech.pid))
    for process in (leech, seed, tracker):
        stop(process)
    shutil.rmtree(out)
    return took, costs


def has_members(port):
    """Whether somebody has announced to the tracker."""
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        return " 0 started" not in stream.makefile().read()


def main():
    size_mib = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    clients = sys.argv[2:] or ["torrentlab", "libtorrent", "aria2"]
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        base = pathlib.Path(folder)
        (base / "content").mkdir()
        with (base / "content/file").open("wb") as file:
            for _ in range(size_mib):
                file.write(os.urandom(1 << 20))
        port = free_port()
        torrent = base / "bench.torrent"
        url = f"http://127.0.0.1:{port}/announce"
        create = [OURS, "create", base / "content", "-o", torrent, "--announce", url, "--piece-length", "1 MiB", "-q"]
        subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
        rows = {client: measure(client, torrent, base, port) for client in clients}
    gib = size_mib / 1024
    first = sum(rows[clients[0]][1])
    print("| client | MiB/s | CPU s/GiB seeding | CPU s/GiB leeching | both, as a ratio |")
    print("|---|---|---|---|---|")
    for client, (took, (seeding, leeching)) in rows.items():
        ratio = (seeding + leeching) / first
        print(f"| {client} | {size_mib / took:.0f} | {seeding / gib:.2f} | {leeching / gib:.2f} | {ratio:.2f} |")


main()
