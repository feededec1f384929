"""The calibration file's JSON schema, checked on load: config/calibration/schema.json, JSON Schema draft 2020-12.

YAML knows what JSON does not: a number has to be finite here too, and keys are texts.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError
from rgbt_seg_ros.pipeline.calibration.typed import as_finite, exponent_hint, shown
from rgbt_seg_ros.resources import config_file

_Error = Any
"""A jsonschema.exceptions.ValidationError; releases of the library differ in how, and whether, they annotate it."""

HINTS = {"format": "; files of other tools are imported by rgbt-seg calibrate, see docs/calibration.md"}
"""Key → what else to say where it is wrong."""

_FIRST = ("format", "version")
"""Of a file of another kind or release, nothing else need be said."""

_KINDS = {"object": "keys with values", "string": "a text", "number": "a number", "integer": "a whole number"}


def check_schema(content: object, path: str) -> None:
    """Refuse what is no calibration file by its schema.

    Args:
        content: What YAML made of the file.
        path: Of the file, for the sentence.

    Raises:
        CalibrationError: The first thing that is wrong, in one sentence ``FILE: key.path: what, expected ...``.
        UserError: The schema is not where it was installed.
    """
    errors = sorted(_validator().iter_errors(content), key=lambda error: _rank(_key(error)))
    if errors:
        key = _key(errors[0])
        where = f"{path}: {key}" if key else path
        raise CalibrationError(f"{where}: {_problem(errors[0])}{HINTS.get(key, '')}")


@functools.cache
def _validator() -> Any:
    """Return what checks, made once: the schema does not change while the package runs."""
    from jsonschema import Draft202012Validator, validators

    extend: Any = validators.extend
    schema = json.loads(config_file("calibration", "schema.json").read_text(encoding="utf-8"))
    types = Draft202012Validator.TYPE_CHECKER.redefine("number", lambda _, value: as_finite(value) is not None)
    return extend(Draft202012Validator, type_checker=types)(schema)


def _rank(key: str) -> int:
    return _FIRST.index(key) if key in _FIRST else len(_FIRST)


def _key(error: _Error) -> str:
    """Return the path of the wrong key, such as ``rgb.K[0][1]``; of one that is missing or unknown, its own."""
    parts = list(error.absolute_path)
    if error.validator == "required":
        parts.append(next(name for name in error.validator_value if name not in error.instance))
    elif error.validator == "additionalProperties":
        parts.append(next(name for name in error.instance if name not in error.schema["properties"]))
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) and text else f".{part}" if text else f"{part}"
    return text


def _problem(error: _Error) -> str:
    """Return what is wrong, and what was expected."""
    value = shown(error.instance)
    schema: Mapping[str, Any] = error.schema
    if error.instance is None:
        return f"empty, expected {_expected(schema)}"
    match error.validator:
        case "required":
            return f"missing, expected {_expected(schema['properties'][_key(error).rpartition('.')[2]])}"
        case "additionalProperties":
            return f"not a key of this file (known here: {', '.join(schema['properties'])})"
        case "type" if "propertyNames" in error.absolute_schema_path:
            return f"the key {value} is no text; put quotes around it"
        case "type" if schema["type"] == "string":
            return f"{value} is no text; put quotes around it"
        case "type" if schema["type"] == "number":
            finite = (
                "finite " if isinstance(error.instance, int | float) and not isinstance(error.instance, bool) else ""
            )
            return f"{value} is no {finite}number{exponent_hint(error.instance)}"
        case "const" if _key(error) == "version":
            return f"{value}, and this release reads {_expected(schema)}"
        case "enum":
            return f"{value} is not one of {', '.join(schema['enum'])}"
    return f"expected {_expected(schema)}, not {value}"


def _expected(schema: Mapping[str, Any]) -> str:
    """Return in words what a part of the schema takes."""
    if "$ref" in schema:
        return _KINDS["object"]
    if "const" in schema:
        return shown(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if "anyOf" in schema:
        kinds = [_expected(inner) for inner in schema["anyOf"]]
        return f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    if schema["type"] != "array":
        return _KINDS[schema["type"]] + _range(schema)
    inner = schema["items"]
    if inner["type"] == "array":
        return f"{schema['minItems']} rows of {inner['minItems']} numbers"
    return f"{schema['minItems']} numbers" if "minItems" in schema else "a list of numbers"


def _range(schema: Mapping[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    return f" from {schema['minimum']} to {schema['maximum']}" if "minimum" in schema else ""
