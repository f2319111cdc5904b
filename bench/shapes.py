"""The shapes of work that are measured, by name."""

import dataclasses

import work


@dataclasses.dataclass
class Shape:
    """`steps` on `hosts` hosts, so many at a time. `without`: contenders that are left out, and why.
    `slow`: those whose round takes minutes, so that they have none to warm up."""

    name: str
    title: str
    steps: list
    hosts: int = 10
    forks: int = 50
    delay: int = 0
    options: tuple = ()
    local: bool = False
    serial: int = 0
    slow: str = ""
    without: dict = dataclasses.field(default_factory=dict)


NO_HOSTS = {"D": "has no such listing", "E": "nothing to send", "C": "as B"}
TOO_LONG = {"B": "about an hour", "C": "many minutes", "D": "many minutes"}

SHAPES = [
    Shape("start", "1 task, 1 host: what starting costs", [work.Command()], hosts=1),
    Shape("tasks20", "20 tasks, 10 hosts", work.mixed(20)),
    Shape("tasks200", "200 tasks, 10 hosts", work.mixed(200), slow="B"),
    Shape("hosts100", "20 tasks, 100 hosts", work.mixed(20), hosts=100, slow="B"),
    Shape(
        "tasks200x100", "200 tasks, 100 hosts", work.mixed(200), hosts=100,
        without=TOO_LONG,
    ),
    Shape("delay20", "20 tasks, 10 hosts, 20 ms of round trip", work.mixed(20), delay=20),
    Shape("copy1m", "a copy of 1 MB, 10 hosts", [work.BigCopy()]),
    Shape("copy100", "a copy of 100 small files, 10 hosts", [work.Folder()], slow="B"),
    Shape(
        "delaycopy100", "a copy of 100 small files, 10 hosts, 20 ms of round trip",
        [work.Folder()], delay=20, slow="B",
    ),
    Shape("templates", "20 templates, 10 hosts", [work.Template()] * 20),
    Shape("facts", "facts, 10 hosts", [work.Facts()]),
    Shape("loop200", "a loop of 200 items, 10 hosts", [work.Loop(200)], slow="B"),
    Shape(
        "delayloop20", "a loop of 20 templates, 10 hosts, 20 ms of round trip",
        [work.Templates(20)], delay=20,
    ),
    Shape("include20", "include_tasks of 2 tasks in a loop of 20, 10 hosts", [work.Include(20)]),
    Shape(
        "list2000", "2,000 tasks parsed and listed", work.mixed(2000),
        options=("--list-tasks",), without=NO_HOSTS,
    ),
    Shape(
        "inventory5000", "5,000 hosts listed", work.mixed(20), hosts=5000,
        options=("--list-hosts",), without=NO_HOSTS,
    ),
    Shape(
        "variables5000", "a variable of two others resolved for 5,000 hosts", [work.Resolve()],
        hosts=5000, without={**NO_HOSTS, "B": "takes many minutes", "D": "connects to all"},
    ),
    Shape(
        "output100m", "100 MB of a host's output", [work.Output()], hosts=1,
        without={"B": "12 GB of memory after nine minutes", "C": "as B", "D": "takes minutes"},
    ),
    Shape(
        "local1000", "20 tasks, 1,000 local hosts in batches of 50", work.mixed(20), hosts=1000,
        local=True, serial=50, without={**TOO_LONG, "E": "no ssh in it"},
    ),
]
