"""The managed hosts: one sshd on many loopback addresses, and a slow road to it."""

import ctypes
import getpass
import os
import pathlib
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SUBREAPER = 36


def adopt_orphans():
    """Processes that lose their parent become ours, so that their time is counted with us."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


class Hosts:
    """An sshd with keys, configuration and home folder of its own, in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        for key in ["host", "user"]:
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key]
            subprocess.run(command, check=True)
        (folder / "home").mkdir()
        self.port, self.slow_port = free_port(), free_port()
        key = (folder / "host.pub").read_text()
        ports = [self.port, self.slow_port]
        known = "".join(f"[127.*.*.*]:{port} {key}" for port in ports)
        (folder / "known_hosts").write_text(known)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 0.0.0.0\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
            f"PasswordAuthentication no\nPidFile none\nUseDNS no\n"
            f"MaxStartups 2000\nMaxSessions 100\nSubsystem sftp internal-sftp\n"
            f"SetEnv HOME={folder}/home\n"
        )
        os.makedirs("/run/sshd", exist_ok=True)
        self.sshd = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", folder / "sshd_config", "-E", folder / "sshd.log"],
            preexec_fn=adopt_orphans,
        )
        self.proxy = None
        await_port(self.port)

    @staticmethod
    def address(number):
        return f"127.1.{number // 200}.{number % 200 + 1}"

    def slow(self, milliseconds):
        """Raises the proxy that delays what goes through it by so much there and back."""
        if self.proxy is None:
            command = [sys.executable, HERE / "delay.py", self.slow_port, self.port, milliseconds]
            turns = open(self.folder / "turns", "a")
            self.proxy = subprocess.Popen([str(word) for word in command], stdout=turns)
            await_port(self.slow_port)
            self.take_turns()

    def take_turns(self):
        """The round trips of each connection that has ended on the slow link since the last call."""
        file = self.folder / "turns"
        turns = [int(line) for line in file.read_text().split()]
        os.truncate(file, 0)
        return turns

    def ssh_options(self):
        """What each ssh needs to know to find this sshd and nothing else."""
        options = {
            "UserKnownHostsFile": self.folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
        }
        return ["-F", "none"] + [f"-o{name}={value}" for name, value in options.items()]

    @property
    def key(self):
        return self.folder / "user"

    @property
    def user(self):
        return getpass.getuser()

    def seconds(self):
        """CPU time of sshd and of all that has run under it and ended."""
        fields = (pathlib.Path("/proc") / str(self.sshd.pid) / "stat").read_text()
        fields = fields.rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def await_quiet(self):
        """Waits until all connections are gone."""
        children = pathlib.Path(f"/proc/{self.sshd.pid}/task/{self.sshd.pid}/children")
        deadline = time.monotonic() + 20
        while children.read_text().strip() and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self):
        for process in filter(None, [self.proxy, self.sshd]):
            process.terminate()
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_port(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
