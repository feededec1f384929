"""What the log of the node says of its state: each change once, and never a flood."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from rgbt_seg_ros.nodes.diagnostics import StateLog, Verdict, transport_remedy
from rgbt_seg_ros.nodes.log import python_logger

WARN, OK = DiagnosticStatus.WARN, DiagnosticStatus.OK


class Log:
    def __init__(self):
        self.lines = []

    def _add(self, level):
        return lambda text, **more: self.lines.append((level, text))

    def __getattr__(self, level):
        return self._add(level)


@pytest.fixture
def log():
    return Log()


def look(state, log, *verdicts):
    for verdict in verdicts:
        state.look(log, "front", verdict)


def test_a_state_is_logged_once_when_it_has_stayed_and_numbers_are_no_change(log):
    state = StateLog()
    silent = Verdict(WARN, "no images on /cam2/image_raw: no publisher")
    lost = [Verdict(WARN, f"{count} images lost between the processes") for count in (3, 17, 4)]
    look(state, log, silent, silent, silent, *lost, Verdict(OK, "segmenting"), Verdict(OK, "segmenting"))
    assert log.lines == [
        ("warning", "no images on /cam2/image_raw: no publisher"),
        ("warning", "17 images lost between the processes"),
        ("info", "segmenting"),
    ]


def test_another_topic_is_a_change_though_only_its_number_differs(log):
    one, two = (Verdict(WARN, f"no images on /cam{number}/image_raw: no publisher") for number in (1, 2))
    look(StateLog(), log, one, one, two, two)
    assert [text for _, text in log.lines] == [one.text, two.text]


def test_what_the_log_has_already_is_not_said_twice_but_what_follows_is(log):
    state = StateLog()
    ok, refused = (
        Verdict(OK, "segmenting"),
        Verdict(DiagnosticStatus.ERROR, "images are refused; the log says why", True),
    )
    look(state, log, ok, ok, refused, refused, ok, ok)
    assert log.lines == [("info", "segmenting")] * 2


def test_a_state_that_comes_and_goes_does_not_flood_the_log(log):
    state = StateLog()
    for number in range(400):
        look(state, log, *[Verdict(WARN, "unpaired" if number % 2 else "lost")] * 2)
    assert 6 <= len(log.lines) <= 8


def test_lines_of_lower_layers_are_bounded_and_counted(log):
    logger = python_logger(log)
    for number in range(1000):
        logger.info(f"engine: ready for RGB images of 48x{number}")
    assert 6 <= len(log.lines) <= 8


@pytest.mark.parametrize(
    ("middleware", "words"),
    [
        ("rmw_fastrtps_cpp", "fastdds.xml"),
        ("rmw_cyclonedds_cpp", "net.core.rmem_max"),
        ("rmw_zenoh_cpp", "rmw_zenoh_cpp"),
    ],
)
def test_the_remedy_for_lost_images_is_the_middlewares(middleware, words):
    assert words in transport_remedy(middleware)
