"""Runs a command on two hosts of one machine: network namespaces whose only link has a delay and loses packets.

    sudo python3 scripts/tools/ranks/two_hosts.py --delay 5 --loss 1 -- deno task train --steps 50 --out runs/two
    sudo python3 scripts/tools/ranks/two_hosts.py --cut 20 -- deno task train --steps 100000 --out runs/cut

One process of the command runs on each host, started by Open MPI's mpirun over TCP. The link is a pair of TUN devices
between which this program carries every packet, so that no traffic shaping of the kernel is needed. `--cut N` stops
carrying after N seconds, as a pulled cable does. It says how many packets it carried and lost, and how long the command
took, or took to end after the cut. Needs Linux, root, iproute2 and Open MPI.
"""

import argparse
import ctypes
import fcntl
import heapq
import os
import random
import select
import stat
import struct
import subprocess
import sys
import tempfile
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x0001 | 0x1000
# The most that a device gives at once.
PACKET = 65536


def enter(namespace: int) -> None:
    """This process goes into a namespace (Python has os.setns from 3.12 on)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def processes(namespace: str) -> list[str]:
    """The numbers of what runs in a namespace."""
    return subprocess.run(("ip", "netns", "pids", namespace), capture_output=True, text=True).stdout.split()


def tun(namespace: str, address: str) -> int:
    """A device in a namespace, as a descriptor of this process."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open(f"/var/run/netns/{namespace}", os.O_RDONLY)
    enter(other)
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"wire", IFF_TUN_NO_PI))
    finally:
        enter(own)
        os.close(own)
        os.close(other)
    for words in (("addr", "add", f"{address}/24", "dev", "wire"), ("link", "set", "dev", "wire", "up"), ("link", "set", "dev", "lo", "up")):
        run("ip", "-n", namespace, *words)
    return device


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0, help="milliseconds of every packet's way")
    parser.add_argument("--loss", type=float, default=0, help="percent of packets that are lost")
    parser.add_argument("--cut", type=float, help="seconds after which nothing is carried any more")
    parser.add_argument("--seed", type=int, default=0, help="of the losses")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    hosts = {"h1": "10.77.0.1", "h2": "10.77.0.2"}
    chance = random.Random(options.seed)
    carried = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        agent = f"{folder}/agent"
        # Stands for ssh: a shell in the namespace, under a host name of its own.
        with open(agent, "w") as file:
            file.write(
                "#!/bin/sh\n"
                'case $1 in 10.77.0.1) host=h1 ;; *) host=h2 ;; esac\n'
                "shift\n"
                'exec ip netns exec $host unshare --uts sh -c "hostname $host; $*"\n'
            )
        os.chmod(agent, stat.S_IRWXU)
        for name in hosts:
            run("ip", "netns", "add", name)
        try:
            ends = [tun(name, address) for name, address in hosts.items()]
            mpirun = [
                "ip", "netns", "exec", "h1", "unshare", "--uts", "sh", "-c", 'hostname h1; exec "$@"', "sh",
                "mpirun.openmpi", "--allow-run-as-root", "-n", "2",
                "--host", ",".join(f"{address}:1" for address in hosts.values()),
                "--mca", "plm_rsh_agent", agent, "--mca", "btl", "tcp,self",
                "--mca", "btl_tcp_if_include", "wire", "--mca", "oob_tcp_if_include", "wire",
                # The launcher's daemons notice in seconds that a host is gone; by default in minutes.
                "--mca", "oob_tcp_keepalive_time", "3", "--mca", "oob_tcp_keepalive_intvl", "1",
                "--mca", "oob_tcp_keepalive_probes", "3",
                *options.command,
            ]
            started = time.monotonic()
            child = subprocess.Popen(mpirun)
            waiting: list[tuple[float, int, int, bytes]] = []
            ended = None
            while ended is None:
                now = time.monotonic()
                while waiting and waiting[0][0] <= now:
                    _, _, to, packet = heapq.heappop(waiting)
                    try:
                        os.write(to, packet)
                    except BlockingIOError:
                        lost += 1
                pause = min(0.05, waiting[0][0] - now) if waiting else 0.05
                for end in select.select(ends, [], [], max(pause, 0))[0]:
                    packet = os.read(end, PACKET)
                    cut = options.cut is not None and now - started > options.cut
                    if cut or chance.random() * 100 < options.loss:
                        lost += 1
                        continue
                    carried += 1
                    to = ends[1 - ends.index(end)]
                    heapq.heappush(waiting, (now + options.delay / 1000, carried, to, packet))
                ended = child.poll()
            seconds = time.monotonic() - started
            after = "" if options.cut is None else f", {seconds - options.cut:.1f} s after the cut"
            print(f"{carried} packets carried, {lost} lost; exit code {ended} after {seconds:.1f} s{after}")
            return ended
        finally:
            for name in hosts:
                # A host that was cut off ends by itself, at its own time.
                deadline = time.monotonic() + 10
                while (pids := processes(name)) and time.monotonic() < deadline:
                    time.sleep(0.1)
                if pids:
                    print(f"left behind on {name}: {' '.join(pids)}")
                run("ip", "netns", "del", name)


if __name__ == "__main__":
    sys.exit(main())
