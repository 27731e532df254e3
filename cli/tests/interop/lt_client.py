#!/usr/bin/env python3
"""lt_client.py TORRENT DIR PORT WORK [DOWN]: shares TORRENT in DIR on 127.0.0.1:PORT until it is told to stop.

What is in DIR is checked first. WORK/done appears once everything is there and on disk. DOWN is the most to download,
in bytes a second.
"""
import pathlib
import signal
import sys

import libtorrent as lt

torrent, folder, port, work, *down = sys.argv[1:]
session = lt.session({
    "listen_interfaces": f"127.0.0.1:{port}",
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_incoming_utp": False, "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,  # everybody is 127.0.0.1 here
    "min_announce_interval": 2, "stop_tracker_timeout": 2,
    "alert_mask": int(lt.alert.category_t.storage_notification) | int(lt.alert.category_t.status_notification),
})
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = folder
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
handle = session.add_torrent(params)
if down:
    handle.set_download_limit(int(down[0]))

stopped = False


def stop(*_):
    global stopped
    stopped = True


signal.signal(signal.SIGTERM, stop)
flushing = False
while not stopped:
    session.wait_for_alert(200)
    for alert in session.pop_alerts():
        # "Finished" is not yet "on disk".
        if isinstance(alert, lt.cache_flushed_alert) and flushing:
            pathlib.Path(work, "done").touch()
    if not flushing and handle.status().is_seeding:
        flushing = True
        handle.flush_cache()
