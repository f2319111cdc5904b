#!/usr/bin/env python3
"""Records what ansible-core makes of expressions.yml, into expected.json.

Run it with the Python of an environment that has the wanted Ansible, with its
collections and what those need:

    python3 -m venv venv
    venv/bin/pip install 'ansible==11.*' netaddr jmespath passlib 'bcrypt<4.1'
    venv/bin/python tests/data/template/record.py
"""
import json
import os
import pathlib
import re

os.environ.update(TZ="UTC", CARGO_PKG_NAME="kup-play", ANSIBLE_DEPRECATION_WARNINGS="false")

import ansible.plugins.filter
import ansible.plugins.lookup
import ansible.plugins.test
import jinja2.filters
import jinja2.tests
import yaml
from ansible import constants as C
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.conditional import Conditional
from ansible.plugins.filter import core, encryption, mathstuff, urls, urlsplit
from ansible.plugins.loader import init_plugin_loader
from ansible.plugins.test import core as test_core
from ansible.plugins.test import files as test_files
from ansible.plugins.test import mathstuff as test_mathstuff
from ansible.plugins.test import uri as test_uri
from ansible.release import __version__
from ansible.template import Templar

HERE = pathlib.Path(__file__).parent


def attempt(make):
    try:
        return make()
    except Exception as error:  # whatever Ansible says is what is recorded
        return {"error": str(error).split("\n")[0]}


def expression(templar, code):
    def as_json():
        text = templar.template("{{ (%s) | to_json }}" % code, convert_data=False)
        return {"json": json.loads(text)}

    def as_text():
        return {"text": templar.template("<{{ %s }}>" % code, convert_data=False)[1:-1]}

    result = attempt(as_json)
    if "error" not in result:
        result.update(attempt(as_text))
        if re.search(r" object at 0x|<filter |<built-in|bound method", result.get("text", "")):
            result.pop("text")
    return result


def condition(templar, code, variables):
    conditional = Conditional(loader=DataLoader())
    conditional.when = [code]
    return attempt(lambda: {"json": conditional.evaluate_conditional(templar, variables)})


def names():
    """The filters, tests and lookups of ansible.builtin and of Jinja2."""
    def documented(kind, package):
        for path in pathlib.Path(package.__file__).parent.iterdir():
            if path.suffix == ".yml" or (kind == "lookup" and path.suffix == ".py"):
                if not path.stem.startswith("_"):
                    yield path.stem

    def defined(modules, method):
        for module in modules:
            plugins = module.FilterModule() if method == "filters" else module.TestModule()
            yield from getattr(plugins, method)()

    filters = {*jinja2.filters.FILTERS, *documented("filter", ansible.plugins.filter)}
    filters |= {*defined([core, encryption, mathstuff, urls, urlsplit], "filters")}
    tests = {*jinja2.tests.TESTS, *documented("test", ansible.plugins.test)}
    tests |= {*defined([test_core, test_files, test_mathstuff, test_uri], "tests")}
    return {
        "filters": sorted(filters),
        "tests": sorted(name for name in tests if name.isidentifier()),
        "lookups": sorted(documented("lookup", ansible.plugins.lookup)),
    }


def main():
    init_plugin_loader()
    source = yaml.safe_load((HERE / "expressions.yml").read_text())
    templar = Templar(loader=DataLoader(), variables=source["variables"])
    result = {
        "ansible": __version__,
        "names": names(),
        "expressions": {
            str(code): expression(templar, code)
            for family in source["families"].values()
            for code in family
        },
        "templates": {
            text: attempt(lambda: {"text": templar.template(text, convert_data=False)})
            for text in source["templates"]
        },
        "conditions": {
            str(code): condition(templar, code, source["variables"]) for code in source["conditions"]
        },
    }
    (HERE / "expected.json").write_text(
        json.dumps(result, indent=1, ensure_ascii=False, default=str) + "\n"
    )


main()
