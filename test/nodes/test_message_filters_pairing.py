"""Policies ``approximate`` and ``exact`` on the real message_filters, where it is installed."""

from __future__ import annotations

import sys

import pytest

from rgbt_seg_ros.nodes.message_filters_pairing import MessageFiltersPairer, create_pairer
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, Pair, Pairer, PairingError, PairingSettings

MS = 1_000_000
SETTINGS = PairingSettings(slop=0.02, queue_size=10)


@pytest.fixture
def _filters() -> None:
    pytest.importorskip("message_filters", reason="message_filters is not installed")


def feed(target: Pairer, begin: int, thermal_lag: int, frames: int) -> list[Pair]:
    pairs = []
    for i in range(frames):
        pairs += target.add_rgb((begin + 33 * i) * MS, i)
        pairs += target.add_thermal((begin + 33 * i + thermal_lag) * MS, i)
    return pairs


def assert_every_frame_counted(target: Pairer) -> None:
    counts = target.counters()
    for stream, received, waiting in (
        ("rgb", counts.received_rgb, counts.waiting_rgb),
        ("thermal", counts.received_thermal, counts.waiting_thermal),
    ):
        dropped = sum(n for key, n in counts.dropped.items() if key.startswith(stream))
        assert received == counts.pairs + dropped + waiting


def test_the_default_policy_needs_no_ros() -> None:
    assert isinstance(create_pairer("nearest", SETTINGS), NearestPairer)


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(PairingError, match=r"^policy: 'fastest' is not one of nearest, approximate, exact"):
        create_pairer("fastest", SETTINGS)


def test_thermal_frames_cannot_be_reused() -> None:
    with pytest.raises(
        PairingError, match=r"^reuse_thermal: needs sync\.policy 'nearest', and sync\.policy is 'exact'"
    ):
        create_pairer("exact", PairingSettings(reuse_thermal=True))


@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_missing_message_filters_is_one_clear_error(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "message_filters", None)
    with pytest.raises(PairingError, match=f"'{policy}' needs the ROS package message_filters"):
        create_pairer(policy, SETTINGS)


@pytest.mark.usefixtures("_filters")
def test_approximate_pairs_within_the_slop() -> None:
    target = create_pairer("approximate", SETTINGS)
    pairs = feed(target, 1000, 5, 20)
    assert [(pair.rgb, pair.thermal) for pair in pairs] == [(i, i) for i in range(20)]
    assert pairs[0].offset == pytest.approx(0.005)
    assert_every_frame_counted(target)


@pytest.mark.usefixtures("_filters")
def test_exact_pairs_equal_times_only() -> None:
    assert len(feed(create_pairer("exact", SETTINGS), 1000, 0, 20)) == 20
    assert feed(create_pairer("exact", SETTINGS), 1000, 1, 20) == []


@pytest.mark.usefixtures("_filters")
@pytest.mark.parametrize("lag", [7, -7])
def test_thermal_offset_comes_before_pairing(lag: int) -> None:
    target = create_pairer("exact", PairingSettings(thermal_offset=-lag / 1000))
    pairs = feed(target, 7, lag, 5)  # begins where a shifted stamp could turn negative
    assert [(p.rgb_stamp // MS, p.thermal_stamp // MS, p.offset) for p in pairs][:1] == [(7, 7 + lag, 0.0)]
    assert len(pairs) == 5


@pytest.mark.usefixtures("_filters")
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_a_bag_that_starts_again_pairs_as_before(policy: str) -> None:
    target = create_pairer(policy, SETTINGS)
    assert [len(feed(target, 0, 0, 45)) for _ in range(3)] == [45, 45, 45]
    assert_every_frame_counted(target)


@pytest.mark.usefixtures("_filters")
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_a_lone_stream_is_bounded_and_counted(policy: str) -> None:
    target = create_pairer(policy, SETTINGS)
    for i in range(50):
        target.add_rgb(33 * i * MS, i)
    assert target.counters().waiting_rgb == 10
    assert target.counters().dropped["rgb_queue_full"] == 40
    assert target.flush() == []
    assert target.counters().dropped["rgb_no_partner"] == 10
    assert_every_frame_counted(target)


@pytest.mark.usefixtures("_filters")
def test_reset_drops_what_waits() -> None:
    target = create_pairer("exact", SETTINGS)
    target.add_rgb(100 * MS, "rgb")
    target.reset()
    assert target.add_thermal(100 * MS, "thermal") == []
    assert target.counters().dropped["rgb_reset"] == 1
    assert_every_frame_counted(target)


@pytest.mark.usefixtures("_filters")
@pytest.mark.parametrize("seconds", [-1, 4_102_444_800])
def test_a_stamp_no_ros_time_holds_is_dropped(seconds: int) -> None:
    target = create_pairer("exact", SETTINGS)
    target.add_rgb(seconds * 1000 * MS, None)
    assert target.counters().dropped["rgb_invalid_stamp"] == 1
    assert len(feed(target, 0, 0, 3)) == 3


@pytest.mark.usefixtures("_filters")
def test_a_synchroniser_that_raises_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    target = MessageFiltersPairer("approximate", SETTINGS)

    def fail(*_: object) -> None:
        raise RuntimeError("under the lock")

    monkeypatch.setattr(target, "_store", fail)
    target.reset()
    target.add_rgb(100 * MS, "rgb")
    assert target.add_thermal(100 * MS, "thermal") == []
    monkeypatch.undo()
    assert target.counters().dropped["thermal_error"] == 1
    target.reset()
    assert len(feed(target, 1000, 0, 3)) == 3
    assert_every_frame_counted(target)
