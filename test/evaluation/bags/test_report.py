"""The report of a bag: its tables, its timeline, and what it shows of many bags."""

from __future__ import annotations

import copy
import html.parser
import re
import xml.etree.ElementTree

import numpy as np
import pytest

from rgbt_seg_ros.evaluation.bags.report import to_html, to_markdown, to_summary
from rgbt_seg_ros.evaluation.bags.timeline_plot import nice_limit, timeline_svg
from rgbt_seg_ros.evaluation.counts import Counts, frame_counts
from rgbt_seg_ros.evaluation.evaluator import Evaluation
from rgbt_seg_ros.evaluation.examples import Example
from rgbt_seg_ros.evaluation.metrics import evaluation_metrics
from rgbt_seg_ros.evaluation.pictures import Picture
from rgbt_seg_ros.network.builtin import untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline import Segmentation

NASTY = "<script>alert(1)</script> & |pipe|"
NAMES = [entry.name for entry in MFNET.classes]
PICTURE = Picture("RGB", "data:image/png;base64,iVBORw0KGgo=")
TIMINGS = {
    "stages": {"network": {"mean_s": 0.0123, "median_s": 0.012, "p95_s": 0.02, "max_s": 0.5}},
    "wall_s": 4.0,
    "pairs": 18,
    "pairs_per_second": 4.5,
    "device": "nano on torch cpu fp32",
}


def bins(count=4, labelled=True):
    result = []
    for index in range(count):
        there = index != 2
        result.append(
            {
                "time_s": index,
                "rgb": 30,
                "thermal": 9,
                "pairs": 9 if there else 0,
                "dropped": 21,
                "skipped": int(index == 1),
                "mean_confidence": 0.9 if there else None,
                "coverage": 1.0 if there else None,
                "flips": 0.02 if there else None,
                "class_share": [0.7, 0.2, 0.1, 0, 0, 0, 0, 0, 0] if there else None,
                "miou": 0.5 if there and labelled else None,
            }
        )
    return result


def label_metrics():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (24, 32), dtype=np.uint8)
    guess = np.where(rng.random((24, 32)) < 0.8, truth, 1).astype(np.uint8)
    from rgbt_seg_ros.data.samples import Sample

    sample = Sample("a", "", np.zeros((24, 32, 3), np.uint8), np.zeros((24, 32), np.uint8), truth, None)
    masks = Segmentation(guess, rng.integers(0, 256, (24, 32), dtype=np.uint8), {})
    total = Counts.none(9) + frame_counts(sample, masks, 9)
    return evaluation_metrics(Evaluation(total, {}, ()), NAMES)


def metrics(labelled=True, compared=True, trained=True):
    spec = untrained_spec("atto", MFNET, 0)
    known = label_metrics() if labelled else {"per_class": None, "miou": None, "frames": 0, "groups": {}}
    compare = {"model": "other.safetensors", "title": "nano", "agreement": 0.875, "miou": 0.625}
    compare["per_class"] = dict.fromkeys(NAMES, 0.25)
    return {
        **known,
        "bag": f"drive {NASTY}",
        "model": "m.safetensors",
        "title": "atto, 9 classes",
        "temperature": 1.25,
        "provenance": {**spec.to_dict()["provenance"], "trained": trained},
        "engine": "atto on torch cpu fp32",
        "command": "rgbt-seg bag evaluate drive",
        "version": "1.0",
        "parameters": {"sync.slop": 0.05, "sync.reuse_thermal": False, "alignment.calibration": ""},
        "topics": {"rgb": "/rgb/image_raw", "thermal": "/thermal/image_raw", "labels": None},
        "duration_s": 3.9,
        "start_s": 1.7e9,
        "received": {"rgb": 117, "thermal": 36},
        "pairs": 27,
        "processed": 26,
        "skipped": {"RuntimeError: out of memory": 1},
        "labels_refused": {},
        "dropped": {"rgb_no_partner": 90},
        "notes": ["/rgb/image_raw: yuv422 64x48: no such encoding"],
        "offset_s": {"mean": -0.0385, "median": -0.04, "p95_abs": 0.045, "max_abs": 0.0487},
        "coverage": 0.99,
        "mean_confidence": 0.8125,
        "classes": NAMES,
        "class_share": dict.fromkeys(NAMES, 0.1),
        "class_confidence": {**dict.fromkeys(NAMES, 0.5), "guardrail": None},
        "flips_per_pixel_second": 0.03,
        "compared_pairs": 25,
        "compare": compare if compared else None,
        "score": "miou" if labelled else "mean_confidence",
        "timeline": {"seconds_per_bin": 1, "bins": bins(labelled=labelled)},
        "frame_examples": {
            "best": [{"name": "stamp 17", "group": "", "score": 0.75, "index": 3, "time_s": 1.25}],
            "median": [],
            "worst": [],
        },
    }


def merged():
    content = metrics()
    for key in ("timeline", "frame_examples", "offset_s", "start_s", "notes"):
        del content[key]
    keys = ("pairs", "processed", "miou", "mean_confidence", "coverage", "flips_per_pixel_second")
    line = {key: content[key] for key in keys}
    content["bags"] = [
        {"bag": "first", **line, "link": "first drive#1/report.html"},
        {"bag": "second", **line, "miou": None, "link": "javascript:alert(1)"},
    ]
    return content


EXAMPLES = [Example("best", 3, 0.75, "stamp 17", "", (PICTURE,))]


class Page(html.parser.HTMLParser):
    """What a page would load, run or lead to."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.leads, self.tags, self.headings = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        place = self.leads if tag == "a" else self.loads
        place += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "poster")]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "h2" and data.strip():
            self.headings.append(data)
            self.tags[-1] = ""


ALWAYS = ["Masks", "Frames and pairs", "Notes", "Offset within a pair", "Class shares"]
END = ["Best, median and worst frames", "Latency", "Parameters", "Where this comes from"]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("compared", [True, False])
def test_a_report_shows_all_that_there_is_and_no_more(labelled, compared):
    content = metrics(labelled, compared)
    page = Page(to_html(content, TIMINGS, MFNET.classes, EXAMPLES))
    expected = ["Timeline", *(["Metrics", "Classes"] if labelled else []), *ALWAYS]
    expected += ["Comparison with other.safetensors"] if compared else []
    expected += ["Reliability", "Confusion matrix"] if labelled else []
    assert page.headings == [*expected, *END]
    assert page.tags.count("svg") == 1 + labelled
    assert page.tags.count("img") == 1
    text = to_markdown(content, TIMINGS)
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [*expected[1:], *END]


def test_the_page_loads_and_runs_nothing():
    text = to_html(metrics(), TIMINGS, MFNET.classes, EXAMPLES)
    page = Page(text)
    assert page.loads == [PICTURE.uri]
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "&lt;script&gt;" in text
    assert r"\|pipe\|" not in text
    assert not re.search(r" on\w+=", text)


def test_markdown_holds_the_metrics():
    text = to_markdown(metrics(), TIMINGS)
    for row in (
        "| mean confidence | 0.8125 |",
        "| pairs skipped: RuntimeError: out of memory | 1 |",
        "| frames dropped: rgb_no_partner | 90 |",
        "| median | -40.00 |",
        "| guardrail | 0.1000 | – |",
        "| agreement | 0.8750 |",
        "| best | stamp 17 | 1.25 | 0.7500 |",
        "| network | 12.30 | 12.00 | 20.00 | 500.00 |",
        "| sync.reuse_thermal | false |",
        "| alignment.calibration | none |",
        "| topic: labels | none |",
    ):
        assert row in text
    assert r"\|pipe\|" in text
    assert "4.5 pairs a second" in text


def test_untrained_weights_are_said():
    for trained in (True, False):
        content = metrics(trained=trained)
        assert ("UNTRAINED" in to_markdown(content, TIMINGS)) is not trained
        assert ("UNTRAINED" in to_html(content, TIMINGS, MFNET.classes, [])) is not trained


def test_the_summary_has_no_times_and_no_matrix():
    text = to_summary(metrics())
    assert "mean confidence" in text
    for absent in ("Latency", "Confusion", "Parameters", "stamp 17"):
        assert absent not in text


def test_without_times_there_is_no_latency():
    content = metrics()
    assert "Latency" not in to_markdown(content, {})
    assert "Latency" not in Page(to_html(content, {}, MFNET.classes, [])).headings


def test_many_bags_lead_to_their_reports_and_have_no_timeline():
    content = merged()
    timings = {**TIMINGS, "stages": {}}
    page = Page(to_html(content, timings, MFNET.classes))
    assert page.headings[0] == "Bags"
    assert "Timeline" not in page.headings
    # Relative paths, whatever is in them.
    assert page.leads == ["first%20drive%231/report.html", "javascript%3Aalert%281%29"]
    text = to_markdown(content, timings)
    assert "| [first](first%20drive%231/report.html) | 27 | 26 |" in text
    assert "| [second](javascript%3Aalert%281%29) | 27 | 26 | – |" in text
    assert "Bags" in to_summary(content)


def draw(timeline, duration=3.9, classes=MFNET.classes):
    return xml.etree.ElementTree.fromstring(timeline_svg(timeline, duration, classes))


NS = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(entry.itertext()) for entry in svg.iter(f"{NS}text")]


def test_the_timeline_has_a_row_for_each_metric():
    svg = draw(metrics()["timeline"])
    words = " ".join(texts(svg))
    for row in ("pairs per second", "dropped frames", "mean confidence", "coverage", "label flips", "mIoU"):
        assert row in words
    assert "class shares, without unlabeled: ■ car ■ person" in words
    assert "bike" not in words
    assert "mIoU" not in " ".join(texts(draw(metrics(labelled=False)["timeline"])))


def test_what_went_wrong_is_shaded_and_a_missing_value_leaves_a_gap():
    svg = draw(metrics()["timeline"])
    (lost,) = (group for group in svg.iter(f"{NS}g") if group.get("class") == "lost")
    # Bin 1 has a pair that could not be segmented, bin 2 no pair.
    left = [float(rect.get("x")) for rect in lost]
    width = float(lost[0].get("width"))
    assert left == [pytest.approx(56 + width, abs=0.2), pytest.approx(56 + 2 * width, abs=0.2)]
    confidence = [path for path in svg.iter(f"{NS}path") if path.get("stroke") == "#2f855a"]
    assert len(confidence) == 2


def test_a_line_stands_at_its_value():
    svg = draw(metrics()["timeline"])
    first = next(path for path in svg.iter(f"{NS}path") if path.get("stroke") == "#2f855a")
    titles = {"".join(entry.itertext()): float(entry.get("y")) for entry in svg.iter(f"{NS}text")}
    top = titles["mean confidence"] + 6
    begin, level, end = map(float, re.fullmatch(r"M(\S+) (\S+)H(\S+)", first.get("d")).groups())
    assert level == pytest.approx(top + 64 * (1 - 0.9), abs=0.06)
    # Two of four bins.
    assert (begin, end) == (pytest.approx(56), pytest.approx(56 + 930 / 2))


def test_a_line_steps_from_bin_to_bin():
    timeline = {"seconds_per_bin": 1, "bins": bins(4)}
    for index, value in enumerate((0.25, 0.25, 1.0, 0.5)):
        timeline["bins"][index]["mean_confidence"] = value
    paths = [path for path in draw(timeline).iter(f"{NS}path") if path.get("fill") == "#2f855a"]
    (numbers,) = re.findall(r"M56.0 (\S+)H521.0V(\S+)H753.5V(\S+)H986.0L986.0 (\S+)H56.0Z", paths[0].get("d"))
    quarter, whole, half, bottom = map(float, numbers)
    assert (bottom - quarter, bottom - whole, bottom - half) == (16, 64, 32)


def test_a_last_bin_that_the_bag_hardly_reaches_gets_no_rate():
    timeline = {"seconds_per_bin": 1, "bins": bins(5)}
    timeline["bins"][4] |= {"rgb": 1, "thermal": 0, "pairs": 0}

    def end_of_rgb(duration):
        paths = [path for path in draw(timeline, duration).iter(f"{NS}path") if path.get("stroke") == "#b7791f"]
        return float(paths[-1].get("d").rpartition("H")[2])

    assert end_of_rgb(4.9) == pytest.approx(986, abs=0.1)
    assert end_of_rgb(4.1) == pytest.approx(56 + 930 * 4 / 5, abs=0.1)


def test_a_name_of_a_class_cannot_break_the_plot():
    classes = [ClassInfo(0, "a<b", (0, 0, 0)), ClassInfo(1, NASTY, (255, 0, 0)), *MFNET.classes[2:]]
    assert NASTY in " ".join(texts(draw(metrics()["timeline"], classes=classes)))


@pytest.mark.parametrize("duration", [0.0, 0.4])
def test_one_bin_is_a_timeline_too(duration):
    draw({"seconds_per_bin": 1, "bins": bins(1)}, duration)


def test_no_bins_are_no_plot():
    assert timeline_svg({"seconds_per_bin": 1, "bins": []}, 0.0, MFNET.classes) == ""


def test_the_longest_timeline_stays_small():
    timeline = {"seconds_per_bin": 7, "bins": [{**entry, "time_s": 7 * i} for i, entry in enumerate(bins(600))]}
    for index, entry in enumerate(timeline["bins"]):
        entry |= {"rgb": 100 + index % 7, "dropped": index % 5, "flips": 0.01 * (index % 11)}
    assert len(timeline_svg(timeline, 4200.0, MFNET.classes)) < 300_000


def test_metrics_are_left_as_they_were():
    content = metrics()
    before = copy.deepcopy(content)
    to_html(content, TIMINGS, MFNET.classes, EXAMPLES)
    np.testing.assert_equal(content, before)


@pytest.mark.parametrize(
    ("highest", "limit"), [(0.0, 1.0), (1.0, 1.0), (1.01, 1.5), (0.23, 0.3), (31.0, 40.0), (9.9, 10.0)]
)
def test_an_axis_ends_at_a_round_number(highest, limit):
    assert nice_limit(highest) == pytest.approx(limit)
