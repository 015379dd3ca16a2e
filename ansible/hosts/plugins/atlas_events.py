"""Writes what happened on the host as lines of JSON, and nothing for people: the runner reads them."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: atlas_events
    type: stdout
    short_description: events of one job as lines of JSON
    description: One line a task and host, with what the task gave back.
"""

KEPT = ("rc", "stdout", "stderr", "msg", "module_stdout", "module_stderr", "cmd_error", "exception")
LONGEST = 9_000_000
LONGEST_WORDS = 4000


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "atlas_events"

    def __init__(self):
        super().__init__()
        self._out = open(os.environ["ATLAS_EVENTS_FILE"], "a", encoding="utf-8")

    def _tell(self, event, result):
        data = result._result
        facts = {}
        for name in KEPT:
            value = data.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                longest = LONGEST if name == "stdout" else LONGEST_WORDS
                value = str(value)[:longest]
            facts[name] = value
        line = {"event": event, "task": str(result._task.get_name()), "facts": facts}
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()

    def v2_runner_on_ok(self, result):
        self._tell("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._tell("failed", result)

    def v2_runner_on_unreachable(self, result):
        self._tell("unreachable", result)
