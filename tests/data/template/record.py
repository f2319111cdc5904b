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

import yaml
from ansible import constants as C
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.conditional import Conditional
from ansible.plugins.loader import init_plugin_loader
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


def main():
    init_plugin_loader()
    source = yaml.safe_load((HERE / "expressions.yml").read_text())
    templar = Templar(loader=DataLoader(), variables=source["variables"])
    result = {
        "ansible": __version__,
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
