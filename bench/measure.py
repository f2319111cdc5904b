"""One timed run of one contender, and what it cost."""

import ctypes
import os
import pathlib
import platform
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time

PROC = pathlib.Path("/proc")
# The numbers of the system call kcmp, and of its question whether two share their memory.
KCMP, KCMP_VM = {"x86_64": 312, "aarch64": 272}.get(platform.machine()), 1


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(command, environment, folder, hosts, memory=None):
    """Wall seconds, CPU seconds of the controller's processes and of the hosts; with `memory`
    also the peak of the controller in MB (ssh and agents of local hosts apart), looked at every so
    many seconds, which disturbs the times."""
    hosts.await_quiet()
    before, hosts_before = children_seconds(), hosts.seconds()
    with open(folder / "output", "wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )
        peak = Peak(process.pid, memory) if memory else None
        code = process.wait()
        wall = time.monotonic() - started
    if code != 0:
        tail = (folder / "output").read_bytes()[-3000:].decode(errors="replace")
        sys.exit(f"{command[0]} ended with {code}:\n{tail}")
    end_leftovers(hosts)
    hosts.await_quiet()
    result = {
        "wall": wall,
        "controller": children_seconds() - before,
        "hosts": hosts.seconds() - hosts_before,
    }
    turns = hosts.take_turns() if hosts.proxy else []
    if turns:
        result["turns"] = statistics.median(turns)
    if peak:
        result["memory"] = peak.megabytes()
    return result


def end_leftovers(hosts):
    """What stayed behind (masters of ssh, which live on for a while) ends, and is counted."""
    ours = {hosts.sshd.pid, hosts.proxy.pid if hosts.proxy else 0}
    me = PROC / f"self/task/{os.getpid()}/children"
    for pid in map(int, me.read_text().split()):
        if pid not in ours:
            try:
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


class Peak(threading.Thread):
    """Looks again and again at the memory (PSS, so that what is shared counts once) of a process
    and its descendants."""

    def __init__(self, pid, pause):
        super().__init__(daemon=True)
        self.pid, self.pause, self.peak = pid, pause, 0
        self.start()

    def run(self):
        while (PROC / str(self.pid)).exists():
            self.peak = max(self.peak, sum(map(pss, family(self.pid))))
            time.sleep(self.pause)

    def megabytes(self):
        self.join()
        return self.peak / 1024


def family(pid):
    found, todo = [], [(pid, None)]
    while todo:
        pid, parent = todo.pop()
        try:
            name = (PROC / str(pid) / "comm").read_text().strip()
            # Agents of local hosts are children too, and the hosts', with what they start: the
            # program, started anew by /proc/self/exe.
            if name in ("ssh", "exe"):
                continue
            if not shares_memory(pid, parent):
                found.append(pid)
            for task in (PROC / str(pid) / "task").iterdir():
                todo.extend((int(child), pid) for child in (task / "children").read_text().split())
        except OSError:
            pass
    return found


def shares_memory(pid, parent):
    """Whether a child has its parent's memory still, as between vfork and exec."""
    return bool(parent and KCMP) and ctypes.CDLL(None).syscall(KCMP, pid, parent, KCMP_VM, 0, 0) == 0


def pss(pid):
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
