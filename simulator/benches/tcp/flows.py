"""TCP flows of the kernel between hosts in namespaces, and how long they take."""
import collections
import json
import os
import select
import socket
import struct
import threading
import time

import namespaces
from namespaces import PORT, address

# Between hosts that are counted from 0. An `unscaled` receive window is of 65,535 bytes at most (RFC 7323).
Flow = collections.namedtuple("Flow", "sender receiver bytes unscaled", defaults=[False])
TCP_WINDOW_CLAMP = 10
TCP_INFO_TOTAL_RETRANS = 100


def receive(listener, flows, results):
    """One of `flows`: bytes that came, and when the last one did."""
    stream, (peer, _) = listener.accept()
    nth, flow = next((nth, flow) for nth, flow in flows if address(flow.sender) == peer)
    result = results.setdefault(nth, {})
    buffer, left = bytearray(1 << 20), flow.bytes
    while left:
        count = stream.recv_into(buffer)
        left -= count
        result["bytes"] = flow.bytes - left
    result["done_ns"] = time.monotonic_ns()
    stream.send(b".")


def send(nth, flow, results):
    result = results.setdefault(nth, {})
    stream = socket.socket()
    # The machine's own default may be another. Root may choose any.
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    result["began_ns"] = time.monotonic_ns()
    stream.connect((address(flow.receiver), PORT))
    payload, left = bytes(1 << 18), flow.bytes
    try:
        while left:
            left -= stream.send(memoryview(payload)[:left])
    except ConnectionError:
        # The receiver's time is over.
        return
    stream.recv(1)
    info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    result["retransmitted"] = struct.unpack_from("I", info, TCP_INFO_TOTAL_RETRANS)[0]


def listen(host, unscaled):
    listener = socket.socket()
    if unscaled:
        # A clamp that needs no scaling has the kernel offer none; it grows, up to what the header can say.
        listener.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, 32 << 10)
    listener.bind((address(host), PORT))
    listener.listen(64)
    return listener


def play(host, flows, seconds, pipe):
    """One host's part: all flows that begin or end at it, for so long at most."""
    mine = list(enumerate(flows))
    incoming = [(nth, flow) for nth, flow in mine if flow.receiver == host]
    outgoing = [(nth, flow) for nth, flow in mine if flow.sender == host]
    listener = listen(host, any(flow.unscaled for _, flow in incoming))
    results = {}
    threads = [threading.Thread(target=receive, args=(listener, incoming, results)) for _ in incoming]
    threads += [threading.Thread(target=send, args=(nth, flow, results)) for nth, flow in outgoing]
    pipe.send(b"ready")
    pipe.recv(16)
    namespaces.urgent(10)
    end = time.monotonic() + seconds
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    pipe.sendall(json.dumps(results).encode())


def gather(pids, pipes, nflows):
    """What both ends of each flow say of it."""
    results = [{} for _ in range(nflows)]
    for pid, pipe in zip(pids, pipes):
        for nth, result in json.loads(pipe.recv(1 << 20)).items():
            results[int(nth)].update(result)
        os.waitpid(pid, 0)
    return results


def over_hub(links, latency_ns, flows, seconds):
    """Runs flows over the hub: their results, and the hub when it is done."""
    def host(nth):
        def work(pipe):
            socket.send_fds(pipe, [b"tun"], [namespaces.with_tun(nth, links[nth].up)])
            play(nth, flows, seconds, pipe)
        return work

    pids, pipes = zip(*(namespaces.spawn(host(nth)) for nth in range(len(links))))
    files = [socket.recv_fds(pipe, 16, 1)[1][0] for pipe in pipes]
    start(pipes)
    hub = namespaces.Hub(links, latency_ns)
    hub.run(files, pipes)
    return gather(pids, pipes, len(flows)), hub


def over_cable(bits_per_s, flow, seconds):
    """Runs one flow between two hosts whose sides of a cable `tc tbf` shapes."""
    def host(nth):
        def work(pipe):
            pipe.send(b"here")
            pipe.recv(16)
            namespaces.with_cable(nth, bits_per_s)
            play(nth, [flow], seconds, pipe)
        return work

    pids, pipes = zip(*(namespaces.spawn(host(nth)) for nth in range(2)))
    for pipe in pipes:
        pipe.recv(16)
    namespaces.lay_cable(*pids)
    for pipe in pipes:
        pipe.send(b"cable")
    start(pipes)
    for pipe in pipes:
        select.select([pipe], [], [])
    return gather(pids, pipes, 1)[0]


def start(pipes):
    for pipe in pipes:
        pipe.recv(16)
    for pipe in pipes:
        pipe.send(b"go")


def seconds_of(result):
    return (result["done_ns"] - result["began_ns"]) / 1e9
