"""The daemon's own log."""

import json
import logging

from corten.daemon.ownlog import JSONFormatter, TextFormatter


def record(text):
    return logging.LogRecord("corten.x", logging.WARNING, __file__, 1, "name %r: %s", ("a", text), None)


def test_text_cannot_be_forged():
    line = TextFormatter().format(record("one\n2026 ERROR two\x1b[2J\ttab"))
    assert "\n" not in line
    assert line.endswith(r"WARNING corten.x: name 'a': one\x0a2026 ERROR two\x1b[2J" + "\ttab")


def test_json():
    document = json.loads(JSONFormatter().format(record("one\ntwo")))
    assert document["msg"] == "name 'a': one\ntwo"
    assert (document["level"], document["logger"]) == ("warning", "corten.x")
