"""QoS overrides of the topics of the node, as ROS has them."""

from __future__ import annotations


def test_qos_overrides_count_for_publishers_and_subscriptions(start, client, tmp_path):
    from rclpy.qos import ReliabilityPolicy

    params = tmp_path / "params.yaml"
    params.write_text(
        "/**:\n  ros__parameters:\n    model: {input_size: 32x64}\n    runtime: {threads: 1, backend: torch}\n"
        "    qos_overrides:\n"
        "      /front/segmentation/mask: {publisher: {reliability: best_effort, depth: 2}}\n"
        "      /front/rgb/image_raw: {subscription: {reliability: best_effort}}\n"
        "      /front/rgb/image_rwa: {subscription: {depth: 2}}\n"
    )
    node = start(params)
    client.wait(client.connected)
    (mask,) = client.node.get_publishers_info_by_topic("/front/segmentation/mask")
    (confidence,) = client.node.get_publishers_info_by_topic("/front/segmentation/confidence")
    assert mask.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    # The profile is not one that the topics share.
    assert confidence.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    (rgb,) = client.node.get_subscriptions_info_by_topic("/front/rgb/image_raw")
    assert rgb.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    # What is not overridden follows the publisher, as before.
    thermal = "/front/thermal/image_raw"
    reliable = ReliabilityPolicy.RELIABLE
    client.wait(
        lambda: {i.qos_profile.reliability for i in client.node.get_subscriptions_info_by_topic(thermal)} == {reliable}
    )
    assert client.parameters("qos_overrides./front/segmentation/mask.publisher.depth") == [2]
    client.wait(lambda: "qos_overrides./front/rgb/image_rwa.subscription.depth: no topic of this node" in node.log)
    assert "image_raw.subscription.reliability: no topic" not in node.log


def test_a_qos_override_that_cannot_be_used_refuses_configure(start, client):
    from diagnostic_msgs.msg import DiagnosticArray

    start(**{"qos_overrides./front/segmentation/mask.publisher.reliability": "sometimes"})
    statuses = client.listen(DiagnosticArray, "/diagnostics")
    client.wait(lambda: statuses)
    message = statuses[-1].status[0].message
    assert message.startswith("configure refused: qos_overrides./front/segmentation/mask.publisher.*: ")
    assert "expected history keep_last or keep_all" in message


def test_an_override_that_cannot_be_used_for_compressed_depth_leaves_the_raw_topic_subscribed(client):
    from rclpy.lifecycle import LifecycleNode
    from rclpy.parameter import Parameter
    from sensor_msgs.msg import CompressedImage

    from rgbt_seg_ros.nodes.image_stream import ImageStream

    name = "qos_overrides./front/depth/image/compressedDepth.subscription.history"
    node = LifecycleNode(
        "stream", namespace="/front", context=client.context, parameter_overrides=[Parameter(name, value="sometimes")]
    )
    refused = []
    stream = ImageStream(
        node, "depth/image", "depth", "auto", check=lambda *_: None, store=lambda _: None, refuse=refused.append
    )
    assert stream.topic == "/front/depth/image"
    client.node.create_publisher(CompressedImage, "depth/image/compressedDepth", 10)
    client.wait(lambda: node.count_publishers("depth/image/compressedDepth"))
    for _ in range(2):
        stream.follow_publisher()
        assert stream.topic == "/front/depth/image"
    (error,) = refused
    assert "compressedDepth.subscription.*" in str(error)
    assert node.count_subscribers("depth/image") == 1
    stream.close()
    node.destroy_node()
