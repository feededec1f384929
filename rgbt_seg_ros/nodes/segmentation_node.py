"""The lifecycle node ``rgbt_segmentation``: wiring only (interface: docs/interface.md)."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from rgbt_seg_ros.resources import prepare_ros_environment


class _Stop(BaseException):
    """SIGINT or SIGTERM, wherever the main thread is; not an Exception, so that no handler on the way swallows it."""


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # While modules are imported there is nothing to end in order, and an exception out of here would abort the process where
    # torch imports Python modules from C++.
    os._exit(0)


def _on_signal(number: int, frame: FrameType | None) -> None:
    # `ros2 launch` sends a second SIGINT to the whole process group: the first one is enough.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Python cannot raise the exception where it comes in the middle of a __del__: the loop of ``main`` asks for this as well.
    _stopped.set()
    raise _Stop


def _report_unraisable(report: sys.UnraisableHookArgs) -> None:
    """Print what Python could not raise, but for the end that was asked for."""
    if report.exc_type is not _Stop:
        sys.__unraisablehook__(report)


_stopped = threading.Event()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the node until SIGINT or SIGTERM, then end the process with code 0."""
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    sys.unraisablehook = _report_unraisable
    node = executor = None
    finished = True
    try:
        # ROS is imported here, so that a signal during these seconds ends the process cleanly too.
        prepare_ros_environment()
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        from rgbt_seg_ros.nodes import runtime
        from rgbt_seg_ros.nodes.lifecycle import SegmentationNode

        signal.signal(signal.SIGINT, _on_signal)
        signal.signal(signal.SIGTERM, _on_signal)
        rclpy.init(
            args=list(arguments) if arguments is not None else None,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        runtime.tune_allocator()
        node = SegmentationNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        node.start()
        runtime.settle_garbage()
        while rclpy.ok() and not _stopped.is_set():
            node.spin_once(executor, timeout=0.1)
    except _Stop:
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if node is not None:
            finished = node.shut_down(timeout=0.5)
            if finished:
                node.destroy_node()
                # A lifecycle node's state machine holds on to the participant, whose shared memory would outlive the process.
                del node, executor
                gc.unfreeze()
                gc.collect()
        if finished and "rclpy" in sys.modules:
            sys.modules["rclpy"].try_shutdown()
    # Tearing the interpreter down around torch takes up to a second on a busy machine, and may crash where a thread is still
    # inside the network; nothing is left to do, and launch was promised a prompt end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
