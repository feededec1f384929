"""The rhythm of a stream and its silences."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.rhythm import patience, silences
from rgbt_seg_ros.pipeline.health.stream import FaultInterval

MS = 1_000_000


def test_a_gap_is_silence_by_the_streams_own_rhythm():
    for period in (33, 111, 1000):
        stamps = [i * period * MS for i in range(40) if not 20 <= i < 25]
        assert silences(stamps) == [FaultInterval(StreamFault.SILENT, 19 * period * MS, 25 * period * MS)]


def test_one_lost_frame_jitter_and_a_few_frames_are_no_silence():
    jittered = [i * 33 * MS + (i * 7919 % 13 - 6) * MS for i in range(40) if i != 9]
    assert silences(jittered) == []
    assert silences([0, 33 * MS, 900 * MS]) == silences([]) == []


def test_patience_follows_the_rhythm_and_is_unknown_at_first():
    stamps = [i * 100 * MS for i in range(4)]
    assert [patience(stamps[:count]) for count in range(4)] == [None] * 4
    assert patience(stamps) == 250 * MS
    assert patience([*stamps, 900 * MS]) == 250 * MS
