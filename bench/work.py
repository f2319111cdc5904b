"""The work that is timed: each step knows how each contender says it.

A step has `ansible(n)` (a task as YAML), `pyinfra(n)` (an operation as Python) and `shell(n)` (what
a plain `sh -s` is given); `{dest}` is the folder of the host.
"""

import base64
import random
import textwrap


# What the module stat tells of a file.
STAT = "stat /etc/passwd; sha1sum /etc/passwd; file -bi /etc/passwd; lsattr -vd /etc/passwd || true"


class Command:
    """Any small program."""

    def __init__(self, line="uname -a"):
        self.line = line

    def ansible(self, n):
        return f"- name: command {n}\n  command: {self.line}\n  changed_when: false\n"

    def pyinfra(self, n):
        return f"server.shell(name='command {n}', commands=[{self.line!r}])\n"

    def shell(self, n):
        return f"{self.line}\n"


class Copy:
    """A small file with contents of its own."""

    def ansible(self, n):
        return textwrap.dedent(f"""\
            - name: copy {n}
              copy:
                content: "setting {n} = on\\n"
                dest: "{{{{ dest }}}}/copy{n}.conf"
                mode: "0644"
            """)

    def pyinfra(self, n):
        text = f"io.StringIO('setting {n} = on\\n')"
        return f"files.put(name='copy {n}', src={text}, dest=f'{{dest}}/copy{n}.conf', mode='644')\n"

    def shell(self, n):
        return textwrap.dedent(f"""\
            cat > {{dest}}/copy{n}.conf <<'END'
            setting {n} = on
            END
            chmod 0644 {{dest}}/copy{n}.conf
            """)


class Stat:
    """What is known of a file."""

    def ansible(self, n):
        return f"- name: stat {n}\n  stat:\n    path: /etc/passwd\n  register: seen\n"

    def pyinfra(self, n):
        # Facts are cached by arguments: another one for each.
        return f"host.get_fact(File, path='/etc/' + '.' * 0 + './' * {n} + 'passwd')\n"

    def shell(self, n):
        return f"{STAT}\n"


class Include:
    """The same two tasks included again and again."""

    def __init__(self, times):
        self.times = times

    def ansible(self, n):
        return f"- name: include {n}\n  include_tasks: included.yml\n  loop: '{{{{ range({self.times}) | list }}}}'\n"

    def pyinfra(self, n):
        lines = f"    server.shell(name=f'command {{i}}', commands=['uname -a'])\n"
        stat = f"    host.get_fact(File, path='/etc/' + './' * i + 'passwd')\n"
        return f"for i in range({self.times}):\n{lines}{stat}"

    def shell(self, n):
        return f"uname -a\n{STAT}\n" * self.times

    def files(self):
        return {"included.yml": Command().ansible(0) + Stat().ansible(0)}


class Loop:
    """A task with many items that need nothing of the controller."""

    def __init__(self, items):
        self.items = items

    def ansible(self, n):
        items = f"'{{{{ range({self.items}) | list }}}}'"
        return f"- name: loop {n}\n  command: echo {{{{ item }}}}\n  changed_when: false\n  loop: {items}\n"

    def pyinfra(self, n):
        return f"for i in range({self.items}):\n    server.shell(name=f'echo {{i}}', commands=[f'echo {{i}}'])\n"

    def shell(self, n):
        # Not the shell's own echo: a program, as the others have it.
        return "".join(f"/bin/echo {i}\n" for i in range(self.items))


class Output:
    """A command that says a hundred megabytes of short lines."""

    line = "yes | head -c 100000000"

    def ansible(self, n):
        return f"- name: output {n}\n  shell: {self.line}\n  changed_when: false\n"

    def pyinfra(self, n):
        return f"server.shell(name='output {n}', commands=[{self.line!r}])\n"

    def shell(self, n):
        return f"{self.line}\n"


class Resolve:
    """A variable that names others."""

    def ansible(self, n):
        return f"- name: resolve {n}\n  debug:\n    msg: '{{{{ dest }}}}/{{{{ names[{n}] }}}}'\n"

    def pyinfra(self, n):
        return f"print(f'{{dest}}/{{names[{n}]}}')\n"

    def shell(self, n):
        return f"echo {{dest}}/name{n}\n"


class Template:
    """A file of twenty lines from a template."""

    def ansible(self, n):
        return textwrap.dedent(f"""\
            - name: template {n}
              template:
                src: settings.j2
                dest: "{{{{ dest }}}}/template{n}.conf"
                mode: "0644"
              vars:
                number: {n}
            """)

    def pyinfra(self, n):
        return (
            f"files.template(name='template {n}', src='settings.j2', "
            f"dest=f'{{dest}}/template{n}.conf', mode='644', number={n}, names=names)\n"
        )

    def shell(self, n):
        lines = "".join(f"server name{i} {{{{ port {8000 + n + i} }}}}\n" for i in range(20))
        file = f"{{dest}}/template{n}.conf"
        return f"cat > {file} <<'END'\n{lines}END\nchmod 0644 {file}\n"

    def files(self):
        line = "server {{ name }} { port {{ 8000 + (number | int) + loop.index0 }} }"
        # No line ends beside tags: not everyone's Jinja2 removes those.
        return {"settings.j2": "{% for name in names %}" + line + "\n{% endfor %}"}


class Templates(Template):
    """The same as items of a loop."""

    def __init__(self, items):
        self.items = items

    def ansible(self, n):
        return textwrap.dedent(f"""\
            - name: templates {n}
              template:
                src: settings.j2
                dest: "{{{{ dest }}}}/template{{{{ item }}}}.conf"
                mode: "0644"
              vars:
                number: "{{{{ item }}}}"
              loop: "{{{{ range({self.items}) | list }}}}"
            """)

    def pyinfra(self, n):
        return "".join(super(Templates, self).pyinfra(i) for i in range(self.items))

    def shell(self, n):
        return "".join(super(Templates, self).shell(i) for i in range(self.items))


class BigCopy:
    """One file of a megabyte."""

    size = 1024 * 1024

    def ansible(self, n):
        return f"- name: copy\n  copy:\n    src: big\n    dest: '{{{{ dest }}}}/big'\n    mode: '0644'\n"

    def pyinfra(self, n):
        return "files.put(name='copy', src='big', dest=f'{dest}/big', mode='644')\n"

    def shell(self, n):
        return f"cat > {{dest}}/big <<'END'\n{self.text()}END\n"

    def text(self):
        # Lines of text, for a shell reads it as well, that hardly compress.
        return base64.encodebytes(random.Random(7).randbytes(self.size * 3 // 4)).decode()

    def files(self):
        return {"big": self.text()}


class Folder:
    """A folder of a hundred small files."""

    def ansible(self, n):
        return f"- name: copy\n  copy:\n    src: folder/\n    dest: '{{{{ dest }}}}/folder/'\n    mode: '0644'\n"

    def pyinfra(self, n):
        return "files.sync(name='copy', src='folder', dest=f'{dest}/folder', mode='644')\n"

    def shell(self, n):
        lines = ["mkdir -p {dest}/folder\n"]
        for i in range(100):
            lines.append(f"cat > {{dest}}/folder/file{i} <<'END'\ncontents of file {i}\nEND\n")
        return "".join(lines) + "chmod 0644 {dest}/folder/*\n"

    def files(self):
        return {f"folder/file{i}": f"contents of file {i}\n" for i in range(100)}


class Facts:
    """What the host is."""

    def ansible(self, n):
        return "- name: facts\n  setup:\n"

    def pyinfra(self, n):
        # Those of its facts that are nearest to what `setup` gathers.
        names = "Os Hostname Kernel KernelVersion Arch LinuxDistribution Users Mounts LsbRelease"
        facts = " ".join(f"host.get_fact({name});" for name in names.split())
        return f"{facts} host.get_fact(Ipv4Addrs); host.get_fact(NetworkDevices)\n"

    def shell(self, n):
        return (
            "uname -a; cat /etc/os-release /proc/meminfo /proc/cpuinfo /proc/mounts; hostname -f; "
            "ip -d addr; ip route; df -P; lsblk; env; date; cat /sys/class/dmi/id/* 2>/dev/null; true\n"
        )


def mixed(tasks):
    """Half commands, a quarter copies, a quarter stats."""
    steps = [Command(), Copy(), Command(), Stat()]
    return [steps[i % 4] for i in range(tasks)]
