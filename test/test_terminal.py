"""What strangers wrote reaches a terminal as text, never as a control."""

import io
import json
import logging

import pytest

from rgbt_seg_ros.terminal import PrintableFormatter, PrintableStream, printable

UNSAFE = {
    "\x1b[31mred\x1b[0m": "\\u001b[31mred\\u001b[0m",
    "\x1b]0;title\x07": "\\u001b]0;title\\u0007",
    "over\rwritten": "over\\u000dwritten",
    "\x9b2J": "\\u009b2J",
    "back\x08space": "back\\u0008space",
    "gnp.\u202etxt": "gnp.\\u202etxt",
    "a\u2028b": "a\\u2028b",
}


@pytest.mark.parametrize(("text", "expected"), UNSAFE.items())
def test_controls_are_written_out(text, expected):
    assert printable(text) == expected


@pytest.mark.parametrize("text", ["plain", "tab\tand\nnewline", "Straße 道路 🚗", "\udcff", ""])
def test_other_text_stays_as_it_is(text):
    assert printable(text) == text


def test_json_stays_json_of_the_same_content():
    content = {"name": "a\u009bb\x7f\u202e\x1b"}
    assert json.loads(printable(json.dumps(content, ensure_ascii=False))) == content


def test_a_stream_writes_printable_text_and_is_the_stream_in_all_else():
    below = io.StringIO()
    stream = PrintableStream(below)
    print("\x1b[2J", file=stream)
    stream.flush()
    assert below.getvalue() == "\\u001b[2J\n"
    assert stream.getvalue() == below.getvalue()


def test_log_lines_are_printable_with_their_arguments():
    record = logging.LogRecord("rgbt_seg_ros", logging.INFO, "", 0, "class %s", ("\x1b[31m",), None)
    assert PrintableFormatter("%(message)s").format(record) == "class \\u001b[31m"
