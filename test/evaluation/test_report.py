"""JSON, Markdown and HTML say the same, and the page stands alone."""

from __future__ import annotations

import base64
import html.parser
import json
import math
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.samples import Box, Sample
from rgbt_seg_ros.evaluation.counts import Counts, frame_counts
from rgbt_seg_ros.evaluation.evaluator import Evaluation
from rgbt_seg_ros.evaluation.examples import Example, describe
from rgbt_seg_ros.evaluation.files import ReportError, write_texts
from rgbt_seg_ros.evaluation.metrics import Run, all_metrics, to_json
from rgbt_seg_ros.evaluation.pictures import WIDTH, pictures_of
from rgbt_seg_ros.evaluation.report import to_html, to_markdown, to_summary
from rgbt_seg_ros.files import check_place
from rgbt_seg_ros.network.builtin import untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline import Segmentation

CAR, PERSON = 1, 2
NASTY = "<script>alert(1)</script> & |pipe|"


def frame(seed, label=True, boxes=True, size=(24, 32)):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    truth = np.zeros(size, np.uint8)
    truth[4:14, 3:20], truth[:, 30:] = CAR, 255
    guess = np.where(rng.random(size) < 0.8, np.where(truth == 255, 0, truth), PERSON).astype(np.uint8)
    found = (Box(CAR, 3, 4, 20, 14), Box(PERSON, 0, 0, 2, 2)) if boxes else None
    given = Sample(
        f"frame{seed}", "day" if seed % 2 else "night", rgb, rgb[..., 0].copy(), truth if label else None, found
    )
    return given, Segmentation(guess, rng.integers(0, 256, size, dtype=np.uint8), {})


def evaluation(seeds, **kind):
    counts = {seed: frame_counts(*frame(seed, **kind), 9) for seed in seeds}
    groups = {}
    for name, rest in (("day", 1), ("night", 0)):
        chosen = [entry for seed, entry in counts.items() if seed % 2 == rest]
        if chosen:
            groups[name] = sum(chosen, Counts.none(9))
    quality = tuple((seed, entry.quality) for seed, entry in counts.items())
    return Evaluation(sum(counts.values(), Counts.none(9)), groups, quality)


def run(trained=False):
    spec = untrained_spec("atto", MFNET, 0)
    provenance = {**spec.to_dict()["provenance"], "trained": trained, "metrics": {"ece": 0.25}}
    return Run(
        "m.safetensors", spec.title, 1.5, provenance, f"folder:{NASTY}", "atto on torch", "rgbt-seg evaluate", "1.0"
    )


def example(seed=1, kind="best", **what):
    given, masks = frame(seed, **what)
    pictures = tuple(pictures_of(given, masks, untrained_spec("atto", MFNET, 0)))
    return Example(kind, seed, 0.5, given.name, given.group, pictures)


def metrics(modalities=("rgbt",), examples=(), trained=False, seeds=range(4), **kind):
    results = {name: evaluation(seeds, **kind) for name in modalities}
    return all_metrics(run(trained), results, MFNET.classes, describe(examples))


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_has_the_keys_of_the_interface_and_null_for_nan():
    data = strict(to_json(metrics()))
    keys = {"miou", "miou_nan_as_zero", "macc", "ece", "per_class", "hit_rate", "stray"}
    assert keys <= set(data)
    assert set(data["groups"]) == {"day", "night"}
    assert all(keys <= set(group) for group in data["groups"].values())
    assert {"iou", "accuracy", "pixels"} <= set(data["per_class"]["car"])
    assert list(data["per_class"]) == [entry.name for entry in MFNET.classes]
    assert data["per_class"]["guardrail"]["iou"] is None
    assert data["per_class"]["guardrail"]["pixels"] == 0
    assert data["hit_rate"] == {"car": 1.0, "person": pytest.approx(data["hit_rate"]["person"])}
    assert data["temperature"] == 1.5


def test_modalities_are_in_the_json_only_where_there_are_several():
    data = strict(to_json(metrics(("rgbt", "rgb", "thermal"))))
    assert list(data["modalities"]) == ["rgbt", "rgb", "thermal"]
    assert data["modalities"]["rgbt"]["groups"] == data["groups"]
    assert data["modalities"]["rgb"]["miou"] == data["miou"]
    assert "modalities" not in metrics()


def test_data_of_boxes_keeps_the_label_keys_as_null():
    data = strict(to_json(metrics(label=False)))
    assert data["miou"] is data["ece"] is data["per_class"] is None
    assert set(data["stray"]) == {"car", "person"}


def test_data_of_labels_has_no_box_keys():
    data = strict(to_json(metrics(boxes=False)))
    assert "hit_rate" not in data
    assert "stray" not in data["groups"]["day"]


def test_the_same_metrics_are_the_same_bytes():
    assert to_json(metrics()) == to_json(metrics())


def test_markdown_shows_the_metrics_and_nan_as_such():
    content = metrics(("rgbt", "rgb"), [example()])
    text = to_markdown(content)
    assert "UNTRAINED" in text
    assert f"| all | {content['miou']:.4f} | {content['miou_nan_as_zero']:.4f} |" in text
    assert re.search(r"\| guardrail \| nan \| nan \| nan \| 0 \|", text)
    assert f"| car, day, rgb | 2 | 1.0000 | {content['groups']['day']['stray']['car']:.4f} |" in text
    assert "| best | frame1 | day | 0.5000 |" in text
    assert r"\|pipe\|" in text
    assert "<" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in text
    for line in (line for line in text.splitlines() if line.startswith("|") and "pipe" not in line):
        assert line.endswith(" |")
    assert "UNTRAINED" not in to_markdown(metrics(trained=True)).splitlines()[2]


@pytest.mark.parametrize("kind", [{"label": False}, {"boxes": False}, {}])
def test_every_kind_of_data_has_a_report(kind):
    content = metrics(("rgbt", "rgb", "thermal"), [example(**kind)], **kind)
    text, page = to_markdown(content), to_html(content, MFNET.classes, [example(**kind)])
    assert ("## Boxes" in text) == ("<h2>Boxes</h2>" in page) == (kind.get("boxes", True))
    assert ("## Confusion matrix" in text) == ("<svg" in page) == (kind.get("label", True))
    assert "frame1" in page
    assert "Confusion" not in to_summary(content)


def test_a_confusion_row_is_shares_of_the_truth():
    content = metrics()
    row = content["confusion_matrix"][CAR]
    shares = " | ".join(f"{count / sum(row):.3f}" for count in row)
    assert f"| car | {shares} |" in to_markdown(content)


class Page(html.parser.HTMLParser):
    """What a page would load or run."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "poster")]


def test_the_page_holds_everything_and_runs_nothing():
    page = to_html(metrics(examples=[example()]), MFNET.classes, [example()])
    parsed = Page(page)
    assert len(parsed.links) == 6
    assert all(link.startswith(("data:image/jpeg;base64,", "data:image/png;base64,")) for link in parsed.links)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    assert "url(" not in page
    assert "@import" not in page
    assert "&lt;script&gt;" in page


def test_pictures_show_the_classes_in_their_colours_and_grey_where_nothing_is_annotated():
    given, masks = frame(2)
    pictures = {entry.caption: entry.uri for entry in pictures_of(given, masks, untrained_spec("atto", MFNET, 0))}
    assert list(pictures) == ["RGB", "thermal", "truth", "boxes", "prediction", "confidence"]

    def decode(uri):
        data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    truth = decode(pictures["truth"])
    assert truth.shape == (24, 32, 3)
    assert tuple(truth[6, 6]) == MFNET.classes[CAR].color
    assert tuple(truth[6, 31]) == (128, 128, 128)
    assert tuple(decode(pictures["prediction"])[masks.label == PERSON][0]) == MFNET.classes[PERSON].color


@pytest.mark.parametrize(("modality", "hidden"), [("rgb", "thermal"), ("thermal", "RGB")])
def test_a_caption_tells_what_the_network_was_not_given(modality, hidden):
    given, masks = frame(2)
    pictures = pictures_of(given, masks, untrained_spec("atto", MFNET, 0), modality)
    assert [entry.caption for entry in pictures if "not given" in entry.caption] == [
        f"{hidden} (the network was not given it)"
    ]


def test_large_images_are_made_small():
    given, masks = frame(1, size=(600, 800))
    for entry in pictures_of(given, masks, untrained_spec("atto", MFNET, 0)):
        data = np.frombuffer(base64.b64decode(entry.uri.partition(",")[2]), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape[:2] == (240, WIDTH)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def browse(page, folder):
    """Open a page in a headless browser without a network; return its document and the addresses it asked for."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    log = folder / "log.json"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += [f"--log-net-log={log}", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    result = subprocess.run(
        [*command, (folder / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    events = (event.get("params") or {} for event in json.loads(log.read_text())["events"])
    # What the browser wants for itself has no page as its origin.
    asked = {event["url"] for event in events if event.get("initiator", "not an origin") != "not an origin"}
    return result.stdout, asked


@pytest.mark.skipif(BROWSER is None, reason="no chromium")
def test_the_page_opens_in_a_browser_and_asks_for_nothing(tmp_path):
    page = to_html(metrics(examples=[example()]), MFNET.classes, [example()])
    document, asked = browse(page, tmp_path)
    assert document.count("<figure>") == 6
    assert asked == set()
    # The same page without its policy and with one picture from elsewhere: the log would show it.
    leaky = re.sub("<meta http-equiv.*?>", "", page).replace("</body>", '<img src="http://127.0.0.1:9/x.png"></body>')
    assert browse(leaky, tmp_path)[1] == {"http://127.0.0.1:9/x.png"}


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    old = tmp_path / "a.md"
    old.write_text("old")
    written = []

    def interrupted(descriptor):
        written.append(descriptor)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_texts({old: "new", tmp_path / "new" / "b.md": "new"})
    assert old.read_text() == "old"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.md"]


def test_texts_are_written_in_folders_that_are_made(tmp_path):
    write_texts({tmp_path / "x" / "y" / "a.md": "é\n"})
    assert (tmp_path / "x" / "y" / "a.md").read_bytes() == "é\n".encode()


def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "report.md"):
        with pytest.raises(ReportError, match=re.escape(str(place))):
            check_place(place, ReportError)
    check_place(tmp_path / "x" / "y" / "a.md")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_name_that_is_no_utf_8_is_spelt_out(tmp_path):
    texts = {tmp_path / "a.json": to_json({"name\udcff": ["\udcff.png"]}), tmp_path / "a.md": "\udcff.png é"}
    write_texts(texts)
    assert strict((tmp_path / "a.json").read_text(encoding="utf-8")) == {r"name\udcff": [r"\udcff.png"]}
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == r"\udcff.png é"


def test_an_infinite_or_missing_number_never_reaches_the_json():
    assert strict(to_json({"a": math.inf, "b": [math.nan, 1.5], "c": {"d": None}})) == {
        "a": None,
        "b": [None, 1.5],
        "c": {"d": None},
    }
