"""Publish a bag's messages as they were recorded, at their times: what ``rgbt-seg bag play`` does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, BagError, RawMessage
from rgbt_seg_ros.nodes.bags.clock import Pace, Ticker
from rgbt_seg_ros.nodes.bags.read_ahead import ReadAhead
from rgbt_seg_ros.nodes.bags.stopping import StopSignals
from rgbt_seg_ros.resources import prepare_image_transport
from rgbt_seg_ros.words import counted

# Before the first import of rclpy. The profile of the sender is the one that counts.
prepare_image_transport()

import rclpy  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402
from rclpy.time import Time  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

from rgbt_seg_ros.nodes.bags.plan import CLOCK, REFUSALS, Plan, PlaySettings, make_plan, reason, warn  # noqa: E402
from rgbt_seg_ros.nodes.bags.qos import offered  # noqa: E402
from rgbt_seg_ros.nodes.bags.types import message_class  # noqa: E402

NODE = "rgbt_seg_bag_player"
LATE = 10_000_000
"""ns after its time from which a message counts as late."""

LONGEST_GAP = 3600 * NANOSECONDS
"""ns without a message that are waited for."""

_POLL = 50_000_000
_IDLE = 0.01
_GOODBYE = 2.0


class BagPlayer:
    """Publishers for the topics of a plan, and the loop that feeds them."""

    def __init__(self, node: Any, plan: Plan, settings: PlaySettings, stop: StopSignals) -> None:
        """Create the publishers.

        Raises:
            BagError: A topic cannot be published, such as under a name that ROS does not allow.
        """
        self._node = node
        self._plan = plan
        self._settings = settings
        self._stop = stop
        self.played = 0
        self.late = 0
        self.worst = 0
        self._begun: int | None = None
        self._ended = 0
        self._names = {name: settings.remap.get(name, name) for name in plan.topics}
        self._publishers: dict[str, Any] = {}
        for name, topic in plan.topics.items():
            try:
                publisher = node.create_publisher(message_class(topic.type), self._names[name], offered(topic))
            except REFUSALS as error:
                raise BagError(
                    f"{plan.path}: {name} cannot be published as '{self._names[name]}' ({reason(error)})"
                ) from error
            self._publishers[name] = publisher
        self._ticker: Ticker | None = None
        if settings.clock_hz:
            clock = node.create_publisher(Clock, CLOCK, QoSProfile(depth=10))
            self._ticker = Ticker(
                lambda now: clock.publish(Clock(clock=Time(nanoseconds=now).to_msg())), settings.clock_hz
            )

    def play(self) -> None:
        """Wait for subscribers, then play until the end of the bag, or a signal.

        Raises:
            BagError: The bag cannot be read any further.
        """
        with ReadAhead(self._plan.messages) as messages:
            if not self._begin():
                return
            self._pass(messages)
        while self._settings.loop and not self._stop.received:
            with ReadAhead(self._plan.messages) as messages:
                self._pass(messages)
        self._deliver()

    def summary(self) -> str:
        """Return in one line what was played."""
        seconds = 0.0 if self._begun is None else (self._ended - self._begun) / NANOSECONDS
        text = f"{'stopped after' if self._stop.received else 'played'} {counted(self.played, 'message')} in {seconds:.1f} s"
        if self.late:
            text += f"; {self.late} of them late by more than {LATE / 1e6:g} ms"
        return f"{text}; late by at most {self.worst / 1e6:.1f} ms"

    def _begin(self) -> bool:
        expected = {self._names.get(name, name): count for name, count in self._settings.wait_for.items()}

        def missing() -> list[str]:
            return [name for name, count in expected.items() if self._node.count_subscribers(name) < count]

        if missing():
            print(f"waiting for subscribers of {', '.join(missing())} …", flush=True)
        while missing():
            if not self._stop.sleep_until(time.monotonic_ns() + _POLL):
                return False
        go = self._stop.sleep_until(time.monotonic_ns() + round(self._settings.delay * NANOSECONDS))
        if self._ticker is not None and self._node.count_publishers(CLOCK) > 1:
            warn(f"another node publishes {CLOCK} too, so time will jump; play with --no-clock")
        return go

    def _pass(self, messages: ReadAhead) -> None:
        """Play the bag once."""
        message = self._next(messages)
        pace = Pace(time.monotonic_ns(), self._plan.start, self._settings.rate)
        self._begun = pace.begin if self._begun is None else self._begun
        if self._ticker is not None:
            self._ticker.start(pace)
            self._ticker.tick(pace.begin)
        for latched in self._plan.latched:
            self._publish(latched)
        last = self._plan.start
        while message is not None:
            gap = message.log_time - last
            if gap > LONGEST_GAP:
                # A clock that began in 1970 and was set later; nobody waits for that.
                warn(f"no message for {gap / NANOSECONDS:.0f} s of the bag: the gap is skipped")
                pace = Pace(time.monotonic_ns(), message.log_time, self._settings.rate)
                if self._ticker is not None:
                    self._ticker.start(pace)
            if not self._wait_until(pace.due(message.log_time)):
                break
            behind = time.monotonic_ns() - pace.due(message.log_time)
            self.worst = max(self.worst, behind)
            self.late += behind > LATE
            self._publish(message)
            last = message.log_time
            message = self._next(messages)
        if self._ticker is not None:
            self._ticker.finish(last)
        self._ended = time.monotonic_ns()

    def _next(self, messages: ReadAhead) -> RawMessage | None:
        """Return the next message; None at the end, or after a signal. ``/clock`` goes on while the disk is slow."""
        while not self._stop.received and not messages.exhausted:
            message = messages.get(_IDLE)
            if message is not None:
                return message
            self._tick()
        return None

    def _wait_until(self, due: int) -> bool:
        while True:
            now = self._tick()
            if now >= due:
                return not self._stop.received
            tick = due if self._ticker is None else self._ticker.next
            if not self._stop.sleep_until(min(due, tick)):
                return False

    def _tick(self) -> int:
        now = time.monotonic_ns()
        if self._ticker is not None:
            self._ticker.tick(now)
        return now

    def _publish(self, message: RawMessage) -> None:
        self._publishers[message.topic].publish(message.data)
        self.played += 1

    def _deliver(self) -> None:
        """Give the last messages time to arrive: with the publishers, what they still hold is gone."""
        end = time.monotonic() + _GOODBYE
        for publisher in self._publishers.values():
            while not self._stop.received and time.monotonic() < end:
                if publisher.wait_for_all_acked(Duration(seconds=0.05)):
                    break
        # Best effort is never acknowledged.
        self._stop.sleep_until(time.monotonic_ns() + 2 * _POLL)


def play(path: Path, settings: PlaySettings, stop: StopSignals) -> int:
    """Play a bag, and say in one line what was played.

    Args:
        path: The bag.
        settings: What to play and how.
        stop: Ends it early where it has received a signal.

    Returns:
        0, after a signal too.

    Raises:
        BagError: The bag cannot be read, or there is nothing in it to play.
    """
    plan = make_plan(path, settings)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(NODE, start_parameter_services=False, enable_rosout=False)
        player = BagPlayer(node, plan, settings, stop)
        print(
            f"playing {path}: {counted(len(plan.topics), 'topic')}, at {settings.rate:g} times its own speed",
            flush=True,
        )
        try:
            player.play()
        finally:
            node.destroy_node()
        print(player.summary(), flush=True)
    finally:
        rclpy.try_shutdown()
    return 0
