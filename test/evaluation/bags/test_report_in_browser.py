"""The report of a real evaluation, opened from disk in a browser that has no network."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium")

SIZE = (1300, 9000)
MEASURE = """
<script>
addEventListener("load", () => {
  const box = element => (({x, y, width, height}) => ({x, y, width, height}))(element.getBoundingClientRect());
  const found = {
    images: [...document.images].map(image => ({...box(image), pixels: image.naturalWidth, name: image.alt})),
    plots: [...document.querySelectorAll("svg")].map(plot => ({
      ...box(plot), name: plot.getAttribute("aria-label"), drawn: plot.getBBox().width * plot.getBBox().height})),
    fetched: performance.getEntriesByType("resource").map(entry => entry.name)
      .filter(name => !name.startsWith("data:")),
    height: document.documentElement.scrollHeight,
  };
  const place = document.createElement("pre");
  place.id = "found";
  place.textContent = btoa(JSON.stringify(found));
  document.body.append(place);
});
</script>
"""


@dataclass(frozen=True)
class Visit:
    """What a browser made of a page: its document, what it wrote to the console, and its picture."""

    document: str
    console: tuple[str, ...]
    picture: np.ndarray | None


def visit(page, folder, *options):
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--hide-scrollbars", "--force-device-scale-factor=1", f"--window-size={SIZE[0]},{SIZE[1]}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", *options, page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=folder)
    console = tuple(line for line in result.stderr.splitlines() if ":CONSOLE" in line)
    shot = folder / "shot.png"
    picture = cv2.imread(str(shot)) if shot.exists() else None
    return Visit(result.stdout, console, picture)


def measure(page, folder):
    """Return sizes of images and plots, by a copy of the page that may run the script of this test."""
    text = re.sub("<meta http-equiv.*?>", "", page.read_text(encoding="utf-8"))
    copy = folder / "measured.html"
    copy.write_text(text.replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    seen = visit(copy, folder, "--dump-dom")
    encoded = re.search(r'<pre id="found">([A-Za-z0-9+/=]+)</pre>', seen.document)
    assert encoded, seen.console
    return json.loads(base64.b64decode(encoded[1]))


@pytest.fixture(scope="module")
def report(recording, model, other_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    arguments = ["bag", "evaluate", str(recording.path), "--model", model, "--compare", other_model]
    assert main([*arguments, "--labels", "/ground_truth/mask", "--output", str(folder / "out")]) == 0
    return folder / "out" / "report.html"


def colours(picture, box):
    left, top = round(box["x"]), round(box["y"])
    part = picture[top : top + round(box["height"]), left : left + round(box["width"])]
    return len(np.unique(part.reshape(-1, 3), axis=0))


def test_plots_and_pictures_are_shown_and_the_console_stays_empty(report, tmp_path):
    found = measure(report, tmp_path)
    assert [plot["name"] for plot in found["plots"]] == ["timeline", "reliability plot"]
    # Of four pairs one is best, one median, one worst: RGB, thermal, truth, prediction and confidence of each.
    assert len(found["images"]) == 15
    assert all(image["pixels"] == 64 for image in found["images"])
    assert found["fetched"] == []
    assert found["height"] <= SIZE[1]
    seen = visit(report, tmp_path, f"--screenshot={tmp_path / 'shot.png'}")
    assert seen.console == ()
    for plot in found["plots"]:
        assert plot["drawn"] > 0
        assert colours(seen.picture, plot) > 20, plot["name"]
    # A mask may be of one colour, but no photo is.
    for image in found["images"]:
        assert image["name"].startswith(("truth", "prediction")) or colours(seen.picture, image) > 20, image["name"]


def test_what_a_page_may_not_do_would_be_seen(report, tmp_path):
    leaky = tmp_path / "leaky.html"
    text = report.read_text(encoding="utf-8")
    leaky.write_text(text.replace("</body>", '<img src="http://127.0.0.1:9/x.png"></body>'), encoding="utf-8")
    seen = visit(leaky, tmp_path, "--dump-dom")
    assert any("Content Security Policy" in line for line in seen.console)
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("base64,", "base64,AAAA", 1), encoding="utf-8")
    assert [image["pixels"] for image in measure(broken, tmp_path)["images"]].count(0) == 1
