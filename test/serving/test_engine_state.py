"""What the diagnostics say of an engine that takes long: built, hung, or waiting for what comes after it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from rgbt_seg_ros.pipeline.backends import Build
from rgbt_seg_ros.serving.engine_state import engine_state
from rgbt_seg_ros.serving.served_model import ServedModel
from rgbt_seg_ros.serving.watchdog import Watchdog


class Held(ServedModel):
    """What engine_state looks at, without a model."""

    def __init__(self, **of_the_model):
        known = {
            "building": None,
            "busy_since": None,
            "ended_at": -math.inf,
            "on_cpu_for_memory": False,
            "name": "eager",
        }
        spec, loaded = SimpleNamespace(title="a model"), SimpleNamespace(file="demo")
        self.model = SimpleNamespace(**{**known, **of_the_model}, spec=spec, loaded=loaded)
        self.loader = SimpleNamespace(problem="", state="")
        self.abandoned = None


def state(configured, now, turn_since=None):
    return engine_state(configured, Watchdog(5.0), "", now, turn_since)


@pytest.mark.parametrize(
    ("ended_at", "now", "stuck"),
    [
        (-math.inf, 106.0, "6 s"),
        # Of an earlier turn.
        (40.0, 106.0, "6 s"),
        # The turn began with a minute of building.
        (160.0, 161.0, ""),
        (160.0, 166.0, "6 s"),
        (-math.inf, 104.0, ""),
    ],
)
def test_what_the_engine_took_of_a_turn_is_not_held_against_the_publishers(ended_at, now, stuck):
    said = state(Held(ended_at=ended_at), now, 100.0).stuck
    assert said == (f"preparing or publishing a pair has not ended for {stuck}" if stuck else "")


def test_nothing_is_stuck_between_turns_nor_while_the_engine_is_at_work():
    assert state(Held(), 200.0).stuck == ""
    assert state(Held(busy_since=199.0), 200.0, 100.0).stuck == ""
    assert state(Held(building=Build((48, 64), 101.0)), 200.0, 100.0).stuck == ""


def test_a_wedged_engine_names_the_way_out_and_one_that_is_built_is_waited_for():
    held = Held(building=Build((48, 64), 101.0))
    held.abandoned = SimpleNamespace(alive=True)
    assert "activate when that is done" in held.wedged_because
    assert state(held, 103.0).problem == ""
    held.model.building, held.model.busy_since = None, 101.0
    assert held.wedged_because == "the engine does not answer: cleanup and configure give the node a new one"
    assert state(held, 103.0).problem == held.wedged_because
