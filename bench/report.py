"""The table and the plot from what was measured."""

import html
import json
import math
import pathlib
import statistics

from contenders import NAMES

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
RAW, PAGE, PLOT = DOCS / "benchmarks.json", DOCS / "benchmarks.md", DOCS / "benchmarks.svg"
COLOURS = {"A": "#0b6e4f", "B": "#c1121f", "C": "#e9a03b", "D": "#5a6acf", "E": "#888888"}


def load():
    return json.loads(RAW.read_text()) if RAW.exists() else {}


def keep(shape, results, machine):
    """Adds what was measured of a shape, and writes table and plot anew."""
    kept = load()
    kept[shape.name] = {
        "title": shape.title, "without": shape.without, "machine": machine, "results": results,
    }
    RAW.write_text(json.dumps(kept, indent=1) + "\n")
    write(kept)


def medians(rounds):
    keys = {key for one in rounds for key in one}
    return {key: statistics.median(r[key] for r in rounds if key in r) for key in keys}


def seconds(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def table(kept):
    lines = []
    for entry in kept.values():
        results = {letter: medians(rounds) for letter, rounds in entry["results"].items()}
        lines += [f"### {entry['title']}", ""]
        lines += [
            "| | wall, s | x the limit | x kup-play | CPU controller, s | CPU hosts, s | memory, MB | round trips a host | rounds |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        own, limit = results.get("A"), results.get("E")
        for letter, name in NAMES.items():
            if letter not in results:
                why = entry["without"].get(letter)
                if why:
                    lines.append(f"| {name} | not run: {why} | | | | | | | |")
                continue
            one = results[letter]
            ratio = lambda other: f"{one['wall'] / other['wall']:.2f}" if other else ""
            memory = f"{one['memory']:.0f}" if letter != "E" and "memory" in one else ""
            cells = [name, seconds(one["wall"]), ratio(limit), ratio(own)]
            cells += [seconds(one["controller"]), seconds(one["hosts"]), memory]
            cells.append(f"{one['turns']:.0f}" if "turns" in one else "")
            lines.append("| " + " | ".join(cells) + f" | {len(entry['results'][letter])} |")
        lines += ["", f"{entry['machine']}", ""]
    return "\n".join(lines)


def write(kept):
    replace_part("measured", lambda _: table(kept))
    PLOT.write_text(plot(kept))


def replace_part(name, change):
    """Puts what `change` makes of it in the place of a part of the page."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, rest = PAGE.read_text().split(begin, 1)
    part, after = rest.split(end, 1)
    part = change(part.strip())
    PAGE.write_text(f"{before}{begin}\n{part.strip()}\n\n{end}{after}")


def plot(kept):
    """Bars of wall time on a logarithmic scale, a group for each shape."""
    walls = {
        name: {letter: medians(rounds)["wall"] for letter, rounds in entry["results"].items()}
        for name, entry in kept.items()
    }
    every = [wall for group in walls.values() for wall in group.values()]
    low = math.floor(math.log10(min(every)))
    high = math.ceil(math.log10(max(every)))
    left, width, bar = 330, 560, 13
    place = lambda value: left + width * (math.log10(value) - low) / (high - low)
    parts, y = [], 40
    for name, group in walls.items():
        top = y
        for letter in [letter for letter in NAMES if letter in group]:
            wall = group[letter]
            end = place(wall)
            parts.append(
                f'<rect x="{left}" y="{y}" width="{max(end - left, 1):.1f}" height="{bar - 2}" '
                f'fill="{COLOURS[letter]}"/><text x="{end + 4:.1f}" y="{y + bar - 4}">'
                f"{seconds(wall)} s</text>"
            )
            y += bar
        middle = (top + y) / 2 + 4
        title = html.escape(kept[name]["title"])
        parts.append(f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">{title}</text>')
        y += 12
    grid = []
    for power in range(low, high + 1):
        x = place(10.0**power)
        grid.append(f'<line x1="{x:.1f}" y1="34" x2="{x:.1f}" y2="{y}" stroke="#ddd"/>')
        grid.append(f'<text x="{x:.1f}" y="30" text-anchor="middle">{10.0**power:g} s</text>')
    legend, x = [], left - 200
    for letter, name in NAMES.items():
        legend.append(f'<rect x="{x}" y="4" width="10" height="10" fill="{COLOURS[letter]}"/>')
        legend.append(f'<text x="{x + 14}" y="13">{html.escape(name)}</text>')
        x += 30 + 7 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}" height="{y + 10}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(grid + parts + legend) + "\n</svg>\n"
    )
