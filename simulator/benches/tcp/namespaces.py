"""Hosts in network namespaces of their own, and the links between them: a hub of TUN devices, or a cable and `tc tbf`.

A namespace has no name: it lives as long as the process in it, and that dies with its parent. So nothing is left
behind, whatever ends the script, and nothing leaves a namespace, since it has no other device.
"""
import collections
import ctypes
import fcntl
import heapq
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

PORT = 6881
CLONE_NEWNET, PR_SET_PDEATHSIG = 0x4000_0000, 1
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001
ETHERNET, MTU = 14, 1500
TBF_LIMIT = 4 << 20
# Lateness of the hub, for one packet in a hundred, that spoils a measurement.
LATE_NS = 5_000_000
libc = ctypes.CDLL(None, use_errno=True)

# Rates in bits a second, queues in wire bytes.
Links = collections.namedtuple("Links", "up down queue")


def address(host):
    return f"10.9.0.{host + 1}"


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


def spawn(work):
    """A child in a network namespace of its own that runs `work(pipe)`: its pid, and our end of the pipe."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        ours.close()
        die_with_parent()
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "a network namespace needs root")
        work(theirs)
        os._exit(0)
    except BaseException as error:
        print(f"in a namespace: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def urgent(priority):
    """Ahead of whatever else the machine does, where that is allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        pass


def with_tun(host, bits_per_s):
    """A device to everybody else that `tc tbf` shapes: its file."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", b"tun", IFF_TUN_NO_PI))
    ip("addr", "add", f"{address(host)}/24", "dev", "tun")
    ip("link", "set", "dev", "tun", "up", "mtu", MTU, "txqueuelen", 10_000)
    shape("tun", bits_per_s, MTU)
    return file


def with_cable(host, bits_per_s):
    """Shapes what leaves by the cable. `tbf` counts the headers of Ethernet, our links do not."""
    ip("addr", "add", f"{address(host)}/24", "dev", "cable")
    ip("link", "set", "dev", "cable", "up")
    shape("cable", bits_per_s * (MTU + ETHERNET) // MTU, MTU + ETHERNET)


def shape(device, bits_per_s, packet):
    """With room for whatever senders put into it: that is bounded by TCP small queues."""
    words = f"tc qdisc add dev {device} root tbf rate {bits_per_s}bit burst {2 * packet} limit {TBF_LIMIT}"
    subprocess.run(words.split(), check=True)


def lay_cable(one, other):
    """Between the namespaces of two processes; it is made in the first, so that it goes when that goes."""
    enter = ["nsenter", "--net", "--target", str(one), "ip"]
    subprocess.run([*enter, *f"link add cable type veth peer name cable netns {other}".split()], check=True)


class Hub:
    """The latency, and every host's downlink FIFO. Its clocks are virtual, in whole nanoseconds: a packet's times follow
    from when it came and from those before it, not from when this process gets to them."""

    def __init__(self, links, latency_ns):
        self.links, self.latency_ns = links, latency_ns
        self.free = [0] * len(links)
        self.due, self.count = [], 0
        self.dropped = 0
        self.late_ns = []

    def take(self, now, packet):
        """A packet that left its host `now`."""
        self.plan(now + self.latency_ns, False, packet)

    def arrive(self, at, packet):
        """A packet is at the receiver's downlink: it is through when those before it are, or dropped."""
        host = packet[19] - 1
        links = self.links[host]
        waits = max(self.free[host] - at, 0)
        if waits * links.down // 8_000_000_000 + len(packet) > links.queue:
            self.dropped += 1
        else:
            self.free[host] = at + waits + len(packet) * 8_000_000_000 // links.down
            self.plan(self.free[host], True, packet)

    def is_punctual(self):
        """Whether nearly all packets were through when they should be."""
        late = sorted(self.late_ns)
        return late[len(late) * 99 // 100] < LATE_NS

    def plan(self, at, through, packet):
        self.count += 1
        heapq.heappush(self.due, (at, self.count, through, packet))

    def run(self, files, pipes):
        """Until every pipe has something to say."""
        urgent(20)
        silent = {pipe.fileno() for pipe in pipes}
        while silent:
            now = time.monotonic_ns()
            while self.due and self.due[0][0] <= now:
                at, _, through, packet = heapq.heappop(self.due)
                if through:
                    os.write(files[packet[19] - 1], packet)
                    self.late_ns.append(time.monotonic_ns() - at)
                else:
                    self.arrive(at, packet)
            wait = max(self.due[0][0] - time.monotonic_ns(), 0) / 1e9 if self.due else None
            ready, _, _ = select.select([*files, *silent], [], [], wait)
            for file in ready:
                if file in silent:
                    silent.discard(file)
                else:
                    self.drain(file)

    def drain(self, file):
        try:
            for _ in range(16):
                packet = os.read(file, 2 * MTU)
                if packet[0] >> 4 == 4:
                    self.take(time.monotonic_ns(), packet)
        except BlockingIOError:
            pass
