"""The node's parameters (``pipeline.parameters``) declared in ROS with type, range and description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException

from rgbt_seg_ros.pipeline.parameters import PARAMETERS, NodeSettings, Parameter, settings_of


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return the descriptor ``ros2 param describe`` shows."""
    descriptor = ParameterDescriptor(description=parameter.text)
    if parameter.choices:
        descriptor.additional_constraints = "one of " + ", ".join(parameter.choices)
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))]
    return descriptor


def declare(node: Any) -> dict[str, str]:
    """Declare every parameter; return why a given value was refused, by name: the default stands in for it.

    A value of another type or out of its range would otherwise end the process; this way it refuses configure.
    """
    refused = {}
    for parameter in PARAMETERS:
        try:
            node.declare_parameter(parameter.name, parameter.default, descriptor(parameter))
        except ParameterException as error:
            if node.has_parameter(parameter.name):
                node.undeclare_parameter(parameter.name)
            node.declare_parameter(parameter.name, parameter.default, descriptor(parameter), ignore_override=True)
            refused[parameter.name] = f"{parameter.name}: {error}; expected {parameter.legal()}"
    return refused


def read(node: Any, changes: Mapping[str, Any] | None = None) -> NodeSettings:
    """Read every parameter.

    Args:
        node: The rclpy node.
        changes: Values by name that are to stand in for those of the node.

    Raises:
        UserError: A value is not legal; the sentence names the parameter, the value and the legal ones.
    """
    values = {parameter.name: node.get_parameter(parameter.name).value for parameter in PARAMETERS}
    return settings_of({**values, **(changes or {})})
