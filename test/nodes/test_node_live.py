"""Parameters that change while the node runs, and what describe says about the others."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image

from rgbt_seg_ros.parameters.table import LIVE, PARAMETERS

MASK, OVERLAY, THERMAL = "segmentation/mask", "segmentation/overlay", "segmentation/thermal_aligned"
NODE = "/front/rgbt_segmentation"


@pytest.fixture(scope="module")
def live(module_start, module_client):
    """An active node of which masks, overlays and thermal images are listened to."""
    scale = {"thermal.preset": "centikelvin", "thermal.normalisation": "fixed"}
    module_start(**scale, **{"thermal.low": 280.0, "thermal.high": 320.0, "sync.fill_gaps": False})
    for topic in (MASK, OVERLAY, THERMAL, "rgb/image_raw"):
        module_client.listen(Image, topic)
    module_client.connect()
    return module_client


def send(client, stamp, offset=0, warm=False):
    """Send a pair: noise at 300 K, or something warm that the model has a class for."""
    rgb, counts = None, np.full((48, 64), 30000, np.uint16)
    if warm:
        rgb = np.full((48, 64, 3), 90, np.uint8)
        counts[:], counts[20:44, 24:34], rgb[20:44, 24:34] = 28941, 31608, (200, 60, 40)
        # No two pictures are the same.
        rgb[0, 0] = stamp // 10**6 % 256
    client.send("rgb", stamp, rgb)
    client.send("thermal", stamp + offset, counts.view(np.uint8), encoding="mono16", width=64)


def outputs(client, warm=False):
    """Return mask, overlay, thermal image and RGB image of one pair as arrays."""
    topics = (MASK, OVERLAY, THERMAL, "rgb/image_raw")
    stamp = client.until_seen(lambda s: send(client, s, warm=warm), topics)
    return [np.frombuffer(client.at(topic, stamp)[0].data, np.uint8) for topic in topics]


def put(client, name, value):
    answer = client.set_parameter(name, value)
    assert answer.successful, answer.reason


def test_the_threshold_counts_from_the_next_pair_on(live):
    assert not (outputs(live)[0] == 255).all()
    put(live, "output.threshold", 1.0)
    assert (outputs(live)[0] == 255).mean() > 0.99
    put(live, "output.threshold", 0.0)
    assert not (outputs(live)[0] == 255).all()


def test_the_weight_of_the_overlay_counts_from_the_next_pair_on(live):
    put(live, "output.overlay_alpha", 0.0)
    _, overlay, _, rgb = outputs(live, warm=True)
    np.testing.assert_array_equal(overlay, rgb)
    put(live, "output.overlay_alpha", 1.0)
    mask, overlay, _, rgb = outputs(live, warm=True)
    labelled = (mask != 0) & (mask != 255)
    assert labelled.any()
    assert (overlay != rgb).reshape(-1, 3)[labelled].any(axis=1).mean() > 0.9
    put(live, "output.overlay_alpha", 0.5)


def test_the_ends_of_the_thermal_range_count_from_the_next_pair_on(live):
    assert abs(int(np.median(outputs(live)[2])) - 128) <= 1
    put(live, "thermal.high", 300.0)
    assert np.median(outputs(live)[2]) == 255
    refused = live.set_parameter("thermal.low", 310.0)
    assert not refused.successful
    assert "thermal.low: 310 is not below high, 300" in refused.reason
    put(live, "thermal.high", 320.0)
    assert abs(int(np.median(outputs(live)[2])) - 128) <= 1


def test_the_slop_counts_from_the_next_frame_on(live):
    def comes(offset):
        stamp = live.later(1.0)
        send(live, stamp, offset)
        # What could be closer is over.
        outputs(live)
        return bool(live.at(MASK, stamp))

    assert comes(20_000_000)
    put(live, "sync.slop", 0.005)
    assert not comes(20_000_000)
    put(live, "sync.slop", 0.05)
    assert comes(20_000_000)


def test_the_limit_on_the_rate_counts_from_the_next_pair_on(live):
    outputs(live)
    put(live, "runtime.max_rate", 0.01)
    stamp = live.until_seen(lambda s: send(live, s), (MASK,))
    live.later(0.1)
    after = live.later()
    send(live, after)
    put(live, "runtime.max_rate", 0.0)
    outputs(live)
    assert live.at(MASK, stamp)
    assert not live.at(MASK, after)


def test_describe_says_that_the_others_are_read_only(live):
    from rcl_interfaces.srv import DescribeParameters

    names = [parameter.name for parameter in PARAMETERS]
    answer, _ = live.call(DescribeParameters, f"{NODE}/describe_parameters", DescribeParameters.Request(names=names))
    assert {entry.name for entry in answer.descriptors if not entry.read_only} == set(LIVE)
    refused = live.set_parameter("runtime.overlap", "never")
    assert "runtime.overlap: takes effect at configure; deactivate and cleanup" in refused.reason
