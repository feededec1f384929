"""The state of the engine in words, for those who watch the node."""

from __future__ import annotations

from dataclasses import dataclass

from rgbt_seg_ros.serving.served_model import ServedModel
from rgbt_seg_ros.serving.watchdog import Watchdog


@dataclass(frozen=True)
class EngineState:
    """What is the same for every camera pair.

    Attributes:
        problem: Why nothing can be segmented until somebody acts; empty: no such problem is known.
        stalled: For how many seconds the engine has not answered; 0 while it does.
        building: What the engine is being built for, in words; empty: it is not being built.
        stuck: What has not ended although the engine has, in words; empty: nothing.
        busy: Whether the engine works on a pair.
        warning: A problem that does not stop the masks; empty: none.
        facts: Values of the status: model, engine.
    """

    problem: str
    stalled: float
    building: str
    stuck: str
    busy: bool
    warning: str
    facts: dict[str, str]


def engine_state(
    served: ServedModel | None, watchdog: Watchdog, problem: str, now: float, turn_since: float | None = None
) -> EngineState:
    """Return the state of the engine.

    Args:
        served: What the node has configured, or None.
        watchdog: The node's.
        problem: Why the last configure was refused; empty if it was not.
        now: time.monotonic, s.
        turn_since: When the worker began its present turn; None: it waits.
    """
    if served is None:
        return EngineState(problem, 0.0, "", "", False, "", {})
    model, loader = served.model, served.loader
    stalled = watchdog.check(model.busy_since, now)
    build, building = model.building, ""
    if build is not None:
        building = f"building engine for {build.size[0]}x{build.size[1]}, {max(0.0, now - build.since):.0f} s so far"
    else:
        problem = served.wedged_because or problem
    stuck = ""
    if turn_since is not None and watchdog.limit and not building and model.busy_since is None:
        # The engine's share of the turn, for a run or a build, does not count.
        waited = now - max(turn_since, model.ended_at)
        if waited > watchdog.limit:
            stuck = f"preparing or publishing a pair has not ended for {waited:.0f} s"
    warning = loader.problem
    if model.on_cpu_for_memory:
        warning = "GPU memory ran out: the model runs on the CPU"
    facts = {"model": model.spec.title, "model file": model.loaded.file, "engine": model.name}
    facts["engine stalls"] = str(watchdog.stalls)
    if loader.state:
        facts["last load"] = loader.state
    return EngineState(problem, stalled, building, stuck, model.busy_since is not None, warning, facts)
