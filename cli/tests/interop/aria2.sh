#!/bin/sh
# aria2.sh TORRENT DIR PORT WORK: shares TORRENT in DIR on 127.0.0.1:PORT until it is told to stop.
# What is in DIR is checked first. WORK/done appears once everything is there.
# It asks UDP trackers through the socket of its DHT, which therefore is on; without an entry point it knows nobody.
torrent=$1 dir=$2 port=$3 work=$4
printf '#!/bin/sh\n: > "%s/done"\n' "$work" > "$work/mark_done"
chmod +x "$work/mark_done"
exec aria2c --no-conf --enable-dht=true --dht-listen-port="$port" --dht-file-path="$work/dht.dat" \
    --enable-dht6=false --bt-enable-lpd=false --disable-ipv6=true \
    --interface=127.0.0.1 --listen-port="$port" --dir="$dir" --file-allocation=none \
    --check-integrity=true --allow-overwrite=true --bt-save-metadata=false --follow-torrent=mem --no-proxy='*' \
    --seed-ratio=0.0 --on-bt-download-complete="$work/mark_done" --summary-interval=0 --show-console-readout=false \
    "$torrent"
