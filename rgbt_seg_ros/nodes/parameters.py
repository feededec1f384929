"""The node's parameters (``parameters.table``) declared in ROS with type, range and description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter as RosParameter

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.nodes.qos import PREFIX
from rgbt_seg_ros.parameters.pairs import PAIR_PARAMETERS, check_pairs, settings_of_pairs
from rgbt_seg_ros.parameters.table import CALIBRATIONS, LIVE, PARAMETERS, NodeSettings, Parameter, ParameterError

_COMMON = {parameter.name: parameter for parameter in PARAMETERS}
_OF_PAIRS = {parameter.name: parameter for parameter in PAIR_PARAMETERS}
_DEFAULTS = {parameter.name: parameter.default for parameter in PARAMETERS}
_TEXTS = (
    "pairs",
    "model.input_size",
    "output.size",
    "runtime.device",
    "runtime.callback_cores",
    "runtime.worker_cores",
)
"""Parameters without choices whose values are judged by themselves, and without reading a file."""


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return the descriptor ``ros2 param describe`` shows."""
    descriptor = ParameterDescriptor(description=parameter.text, read_only=parameter.read_only)
    if parameter.choices:
        descriptor.additional_constraints = "one of " + ", ".join(parameter.choices)
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))]
    return descriptor


class NodeParameters:
    """The common parameters, and ``PAIR.NAME`` of each named camera pair, which has the common value until it is set.

    A value of another type or out of its range would end the process at its declaration; here the default stands in for it, and
    ``refused`` says why, by name, so that configure can be refused.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """Declare them on a node."""
        self._node = node
        self.refused: dict[str, str] = {}
        self.setting = False
        """Whether it is this object that sets a parameter now."""
        self._inherited: set[str] = set()
        self._named: tuple[str, ...] = ()
        for parameter in PARAMETERS:
            self._declare(parameter, parameter.default)
        self.follow()
        # Not in Humble, where the node has to call follow() now and then.
        if hasattr(node, "add_post_set_parameters_callback"):
            node.add_post_set_parameters_callback(self._after_set)

    def _after_set(self, changes: Sequence[Any]) -> None:
        if not self.setting:
            self.follow()

    def _declare(self, parameter: Parameter, default: Any) -> None:
        """Declare with a default value or, for one that is inherited, with a type."""
        node, name = self._node, parameter.name
        try:
            node.declare_parameter(name, default, descriptor(parameter))
        except ParameterException as error:
            if node.has_parameter(name):
                node.undeclare_parameter(name)
            node.declare_parameter(name, default, descriptor(parameter), ignore_override=True)
            self.refused[name] = f"{name}: {error}; expected {parameter.legal()}"

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the camera pairs; one empty name where the parameter is not legal."""
        try:
            return check_pairs(self._node.get_parameter("pairs").value)
        except ParameterError:
            return ("",)

    def follow(self) -> None:
        """Bring what is there for each pair up to the parameters of this moment.

        What a pair still lacks is declared, what belongs to no pair any more is taken back, and what is not set for a pair gets
        the common value. Names of pairs that are not legal change nothing.
        """
        try:
            named = tuple(filter(None, check_pairs(self._node.get_parameter("pairs").value)))
        except ParameterError:
            return
        self.setting = True
        try:
            for pair in set(self._named).difference(named):
                for parameter in PAIR_PARAMETERS:
                    self._forget(f"{pair}.{parameter.name}")
            self._named = named
            for pair in named:
                for parameter in PAIR_PARAMETERS:
                    self._follow(f"{pair}.{parameter.name}", parameter)
        finally:
            self.setting = False

    def _forget(self, name: str) -> None:
        self.refused.pop(name, None)
        self._inherited.discard(name)
        if self._node.has_parameter(name):
            self._node.undeclare_parameter(name)

    def _follow(self, name: str, parameter: Parameter) -> None:
        node, common = self._node, node_value(self._node, parameter.name)
        if not node.has_parameter(name):
            # By its type alone: what is still unset after that is set in no file and on no command line.
            kind = RosParameter.Type.from_parameter_value(parameter.default)
            self._declare(replace(parameter, name=name), kind)
            if node_value(node, name) is None:
                self._inherited.add(name)
        if name in self._inherited and node_value(node, name) != common:
            node.set_parameters([RosParameter(name, value=common)])

    def owns(self, name: str) -> bool:
        """Return whether a parameter is one of these, and not one that every ROS node has."""
        return name in _COMMON or self._base(name) is not None

    def _base(self, name: str) -> str | None:
        pair, _, base = name.partition(".")
        return base if pair in self._named and base in _OF_PAIRS else None

    def is_live(self, name: str) -> bool:
        """Return whether a parameter may change while the node is configured."""
        return name in LIVE or self._base(name) in LIVE

    def check(self, changes: Mapping[str, Any]) -> None:
        """Refuse texts that are not legal by themselves, as ROS refuses a number out of its range.

        Raises:
            UserError: A text that is not one of its choices, a size, a device, cores or names that cannot be used.
        """
        for name, value in changes.items():
            parameter = _COMMON[self._base(name) or name]
            if parameter.choices and value not in parameter.choices:
                raise SettingError(name, f"'{value}' is not one of {', '.join(parameter.choices)}")
            if parameter.name in _TEXTS:
                settings_of_pairs({**_DEFAULTS, name: value})

    def unknown(self) -> list[str]:
        """Return a sentence for each parameter of a file or of the command line that is not one of this node."""
        given: Iterable[str] = getattr(self._node, "_parameter_overrides", {})
        sentences = []
        for name in sorted(given):
            # A wildcard of a file reaches every node; QoS overrides are declared where a topic is used.
            if self._node.has_parameter(name) or name.startswith(PREFIX):
                continue
            known = [*self._node._parameters, *_COMMON]
            near = get_close_matches(name, known, 1) or [
                other for other in known if other.rpartition(".")[2] == name.rpartition(".")[2]
            ]
            hint = f"; did you mean {near[0]}?" if near else ""
            sentences.append(f"{name}: not a parameter of this node, so it has no effect{hint}")
        return sentences

    def accepted(self, names: Iterable[str]) -> None:
        """Take note that somebody has set these."""
        for name in names:
            self.refused.pop(name, None)
            self._inherited.discard(name)

    def recalibrated(self, names: Iterable[str]) -> list[str]:
        """Return the camera pairs for which one of the parameters that are set is another calibration."""
        changed = {name for name in names if name in CALIBRATIONS or self._base(name) in CALIBRATIONS}
        return [
            pair
            for pair in self.pairs
            if any(
                f"{pair}.{name}" in changed or (name in changed and (not pair or f"{pair}.{name}" in self._inherited))
                for name in _OF_PAIRS
            )
        ]

    def read(self, changes: Mapping[str, Any] | None = None) -> dict[str, NodeSettings]:
        """Return the settings of each camera pair, by name.

        Args:
            changes: Values by name that are to stand in for those of the node.

        Raises:
            UserError: A value is not legal; the sentence names the parameter, the value and the legal ones.
        """
        values = {name: node_value(self._node, name) for name in _COMMON}
        for pair in filter(None, check_pairs(values["pairs"])):
            own = (f"{pair}.{name}" for name in _OF_PAIRS)
            values.update({name: node_value(self._node, name) for name in own if name not in self._inherited})
        return settings_of_pairs({**values, **(changes or {})})

    def put_back(self, name: str, value: Any) -> None:
        """Set a parameter to what is really so."""
        if node_value(self._node, name) == value:
            return
        self.setting = True
        try:
            self._node.set_parameters([RosParameter(name, value=value)])
        finally:
            self.setting = False


def node_value(node: LifecycleNode, name: str) -> Any:
    """Return the value of a parameter: None for one without a value."""
    return node.get_parameter_or(name, None).value
