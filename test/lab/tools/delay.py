#!/usr/bin/python3
"""Distance for packets: delay.py QUEUE DELAY_MS [JITTER_MS]

Takes the packets of an nfnetlink queue and lets each go after DELAY +- JITTER (uniform, so that packets overtake each
other), because a kernel need not have netem. No library: netlink(7), linux/netfilter/nfnetlink_queue.h. Prints "ready".
"""
import heapq
import os
import random
import select
import socket
import struct
import sys
import time

NETLINK_NETFILTER = 12
SUBSYSTEM_QUEUE = 3
PACKET, VERDICT, CONFIG = 0, 1, 2
SO_RCVBUFFORCE = 33
ACCEPT = 1
QUEUE_LENGTH = 20000


def require_lab_namespace():
    """The same guard as guard.mjs: ends the process outside a namespace that lab.sh made."""
    own = os.stat("/proc/self/ns/net")
    for name in os.listdir("/run/netns"):
        try:
            other = os.stat(os.path.join("/run/netns", name))
        except OSError:
            continue
        if "-" in name and (other.st_ino, other.st_dev) == (own.st_ino, own.st_dev):
            return
    sys.exit("Cannot run outside a namespace of the laboratory (see test/lab/lab.sh)")


def attribute(kind, data):
    return struct.pack("HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def message(kind, queue, body, ack=False):
    payload = struct.pack("!BBH", 0, 0, queue) + body
    return struct.pack("IHHII", 16 + len(payload), SUBSYSTEM_QUEUE << 8 | kind, 1 | (4 if ack else 0), 0, 0) + payload


def configure(sock, queue, body):
    sock.send(message(CONFIG, queue, body, ack=True))
    error = struct.unpack("i", sock.recv(65536)[16:20])[0]
    if error:
        sys.exit("Cannot use the queue %d: %s" % (queue, os.strerror(-error)))


def packet_ids(data):
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack("IH", data[offset : offset + 6])
        if kind == SUBSYSTEM_QUEUE << 8 | PACKET:
            at = offset + 20
            while at + 4 <= offset + length:
                size, name = struct.unpack("HH", data[at : at + 4])
                if name & 0x7FFF == 1:
                    yield struct.unpack("!I", data[at + 4 : at + 8])[0]
                    break
                at += (size + 3) & ~3
        offset += max(16, (length + 3) & ~3)


def main():
    require_lab_namespace()
    queue, delay = int(sys.argv[1]), float(sys.argv[2])
    jitter = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.bind((0, 0))
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    configure(sock, queue, attribute(1, struct.pack("!BBH", 1, 0, 0)))
    configure(sock, queue, attribute(2, struct.pack("!IB", 64, 1)))
    configure(sock, queue, attribute(3, struct.pack("!I", QUEUE_LENGTH)))
    print("ready", flush=True)
    sock.setblocking(False)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    waiting = []
    count = 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            packet = heapq.heappop(waiting)[2]
            sock.send(message(VERDICT, queue, attribute(2, struct.pack("!II", ACCEPT, packet))))
        poll.poll(max(0, int((waiting[0][0] - now) * 1000) + 1) if waiting else None)
        for _ in range(256):
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                continue
            for packet in packet_ids(data):
                count += 1
                due = time.monotonic() + max(0.0, delay + random.uniform(-jitter, jitter)) / 1000
                heapq.heappush(waiting, (due, count, packet))


main()
