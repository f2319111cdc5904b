"""Those who do the work: how each is told, and started."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("KUP_CACHE", pathlib.Path.home() / ".cache/kup-play"))
ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = {
    "A": "kup-play",
    "B": "ansible-core 2.18",
    "C": "ansible-core + Mitogen",
    "D": "pyinfra",
    "E": "the limit: ssh sh -s",
}


def venv(name, *packages):
    """The folder of a venv with these packages, made when it is not there."""
    folder = CACHE / f"bench-{name}"
    marker = folder / ".complete"
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        marker.touch()
    return folder


def ansible_venv():
    return venv("ansible", "ansible-core==2.18.*", "mitogen")


def write_files(shape, folder):
    """The files that the work needs, whoever does it."""
    for step in shape.steps:
        for name, content in getattr(step, "files", dict)().items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)


def prepare(shape, hosts, folder):
    """Playbook, inventory, deploy and script."""
    write_files(shape, folder)
    port = hosts.slow_port if shape.delay else hosts.port
    names = [f"host{n:04}" for n in range(shape.hosts)]
    dest = folder / "hosts"
    tasks = "".join(step.ansible(n) for n, step in enumerate(shape.steps))
    indented = "".join(f"    {line}\n" for line in tasks.splitlines())
    serial = f"  serial: {shape.serial}\n" if shape.serial else ""
    (folder / "site.yml").write_text(
        f"- hosts: all\n  gather_facts: false\n{serial}  tasks:\n{indented}"
    )
    lines = [f"{name} ansible_host={hosts.address(n)}" for n, name in enumerate(names)]
    connection = "local" if shape.local else "ssh"
    variables = {
        "ansible_connection": connection,
        "ansible_port": port,
        "ansible_user": hosts.user,
        "ansible_ssh_private_key_file": hosts.key,
        "ansible_ssh_common_args": "'" + " ".join(hosts.ssh_options()) + "'",
        "ansible_python_interpreter": pathlib.Path(sys.executable).resolve(),
        "dest": f"{dest}/{{{{ inventory_hostname }}}}",
        "names": [f"name{i}" for i in range(20)],
    }
    values = "".join(f"{name}={value}\n" for name, value in variables.items())
    (folder / "inventory.ini").write_text("\n".join(lines) + f"\n\n[all:vars]\n{values}")
    (folder / "deploy.py").write_text(pyinfra_deploy(shape, dest))
    (folder / "inventory.py").write_text(pyinfra_inventory(names, hosts, port))
    addresses = "".join(f"{name} {hosts.address(n)}\n" for n, name in enumerate(names))
    (folder / "addresses").write_text(addresses)
    for name in names:
        script = "".join(step.shell(n) for n, step in enumerate(shape.steps))
        script = script.replace("{dest}", str(dest / name)).replace("{{", "{").replace("}}", "}")
        (folder / f"{name}.sh").write_text(script)


def pyinfra_deploy(shape, dest):
    lines = "".join(step.pyinfra(n) for n, step in enumerate(shape.steps))
    return (
        "import io\nfrom pyinfra import host\nfrom pyinfra.operations import files, server\n"
        "from pyinfra.facts.files import File\nfrom pyinfra.facts.hardware import *\n"
        "from pyinfra.facts.server import *\n"
        f"dest = '{dest}/' + host.name\nnames = ['name%d' % i for i in range(20)]\n{lines}"
    )


def pyinfra_inventory(names, hosts, port):
    data = {
        "ssh_port": port,
        "ssh_user": hosts.user,
        "ssh_key": str(hosts.key),
        "ssh_strict_host_key_checking": "off",
    }
    entries = [(name, {**data, "ssh_hostname": hosts.address(n)}) for n, name in enumerate(names)]
    return f"hosts = {entries!r}\n"


def reset(shape, folder):
    """Empty folders for the hosts, so that each contender has everything to do."""
    shutil.rmtree(folder / "hosts", ignore_errors=True)
    for n in range(shape.hosts if "--list-hosts" not in shape.options else 0):
        (folder / "hosts" / f"host{n:04}").mkdir(parents=True)


def files_made(folder):
    """The files of all hosts with their contents' hashes: the same, whoever made them."""
    files = [path for path in (folder / "hosts").rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest() for path in files
    }


def command(letter, shape, hosts, folder):
    """The command line and environment of a contender."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }
    (folder / "home").mkdir(exist_ok=True)
    if letter == "A":
        program = os.environ.get("KUP_PLAY") or binary()
        return [program, *playbook(shape)], environment
    if letter in "BC":
        bin_folder = ansible_venv() / "bin"
        environment["ANSIBLE_PIPELINING"] = "1"
        environment["ANSIBLE_SSH_ARGS"] = "-C -o ControlMaster=auto -o ControlPersist=60s"
        # Short: a socket's path has 108 bytes.
        environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(folder.parent / "cp")
        if letter == "C":
            found = ansible_venv().glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy")
            environment["ANSIBLE_STRATEGY_PLUGINS"] = str(next(found))
            environment["ANSIBLE_STRATEGY"] = "mitogen_linear"
        return [bin_folder / "ansible-playbook", *playbook(shape)], environment
    if letter == "D":
        program = venv("pyinfra", "pyinfra") / "bin/pyinfra"
        return [program, "-y", "--parallel", str(shape.forks), "inventory.py", "deploy.py"], environment
    port = hosts.slow_port if shape.delay else hosts.port
    ssh = ["ssh", *hosts.ssh_options(), "-i", str(hosts.key), "-l", hosts.user, "-p", str(port)]
    return [ROOT / "bench/limit.sh", shape.forks, *ssh], environment


def playbook(shape):
    return ["-i", "inventory.ini", "-f", str(shape.forks), *shape.options, "site.yml"]


def binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = [*target.glob("*/release/kup-play"), *target.glob("release/kup-play")]
    if not found:
        sys.exit("no release build: run `make build` first")
    return max(found, key=lambda file: file.stat().st_mtime)
