#!/usr/bin/env python3
"""transmission.py TORRENT DIR PORT WORK: shares TORRENT in DIR on 127.0.0.1:PORT until it is told to stop.

What is in DIR is checked first. WORK/done appears once everything is there. It takes calls and makes none:
transmission does not dial 127.0.0.0/8.
"""
import base64
import ctypes
import json
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

torrent, folder, port, work = sys.argv[1:]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    rpc_port = free.getsockname()[1]
config = pathlib.Path(work, "config")
config.mkdir(parents=True, exist_ok=True)
config.joinpath("settings.json").write_text(json.dumps({
    "dht-enabled": False, "lpd-enabled": False, "utp-enabled": False, "port-forwarding-enabled": False,
    "peer-port": int(port), "bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1",
    "rpc-bind-address": "127.0.0.1", "rpc-port": rpc_port, "rpc-authentication-required": False,
    "rpc-whitelist-enabled": False, "rpc-host-whitelist-enabled": False,
    "incomplete-dir-enabled": False, "rename-partial-files": False, "preallocation": 0,
    "ratio-limit-enabled": False, "idle-seeding-limit-enabled": False, "encryption": 1, "message-level": 2,
}))
PR_SET_PDEATHSIG = 1
daemon = subprocess.Popen(
    ["transmission-daemon", "--foreground", "--config-dir", str(config)],
    preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
)
signal.signal(signal.SIGTERM, lambda *_: daemon.terminate())
session_id = ""


def rpc(method, **arguments):
    """Calls the daemon; it wants a session id, which it tells those who lack it."""
    global session_id
    while True:
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        headers = {"X-Transmission-Session-Id": session_id}
        request = urllib.request.Request(f"http://127.0.0.1:{rpc_port}/transmission/rpc", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)["arguments"]
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            session_id = error.headers["X-Transmission-Session-Id"]


while daemon.poll() is None:
    try:
        rpc("session-get")
        break
    except OSError:
        time.sleep(0.05)  # it is starting
metainfo = base64.b64encode(pathlib.Path(torrent).read_bytes()).decode()
rpc("torrent-add", **{"metainfo": metainfo, "download-dir": folder, "paused": False})
while daemon.poll() is None:
    try:
        state = rpc("torrent-get", fields=["leftUntilDone", "haveValid", "status"])["torrents"][0]
    except OSError:
        break  # it is stopping
    if state["leftUntilDone"] == 0 and state["haveValid"] > 0:
        pathlib.Path(work, "done").touch()
    time.sleep(0.1)
daemon.wait()
