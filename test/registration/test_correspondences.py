"""Files of corresponding points: what is read, and that every malformed row is named."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.calibration.projection import project
from rgbt_seg_ros.registration.correspondences import PointsError, read_points, write_points

HEADER = "rgb_x,rgb_y,thermal_x,thermal_y\n"


def write(folder, text):
    path = folder / "points.csv"
    path.write_text(text)
    return path


def test_columns_in_any_order_comments_and_empty_lines(tmp_path):
    points = read_points(
        write(tmp_path, "# by hand\nthermal_x, thermal_y, rgb_x, rgb_y, depth\n\n3,4,1,2,5.5\n# x\n7,8,5,6,2\n")
    )
    assert points.rgb.tolist() == [[1, 2], [5, 6]]
    assert points.thermal.tolist() == [[3, 4], [7, 8]]
    assert points.depth.tolist() == [5.5, 2]
    assert points.position is None
    assert points.lines == (4, 6)


def test_what_is_written_is_read(tmp_path):
    rgb, thermal = [(1.25, 2.5), (3, 4)], [(5, 6), (7.75, -0.25)]
    write_points(tmp_path / "out.csv", rgb, thermal)
    points = read_points(tmp_path / "out.csv", (10, 10), (10, 10))
    assert points.rgb.tolist() == [list(point) for point in rgb]
    assert points.thermal.tolist() == [list(point) for point in thermal]


def test_depth_along_the_axis_gives_the_position_in_the_rgb_frame(tmp_path):
    camera = default_rig().rgb
    position = np.array((0.7, -0.3, 4.0))
    x, y = project(camera, position)
    points = read_points(write(tmp_path, f"{HEADER.strip()},depth\n{x},{y},1,2,4.0\n"))
    assert points.positions(camera)[0] == pytest.approx(position, abs=1e-6)


def test_every_malformed_row_is_named(tmp_path):
    path = write(tmp_path, f"{HEADER}1,2,3,4\n1,2,3\n1,x,3,4\n1,2,nan,4\n1,2,3,900\n5,6,7,8\n")
    with pytest.raises(PointsError) as caught:
        read_points(path, (480, 640), (512, 640))
    text = str(caught.value)
    assert text.startswith(
        f"{path}: line 3: 3 values, 4 expected; line 4: rgb_y 'x' is not a number; line 5: thermal_x 'nan'"
    )
    assert "line 6: thermal point (3, 900) is outside of the image of 640x512" in text
    assert "line 2" not in text
    assert "line 7" not in text


def test_of_many_malformed_rows_the_rest_is_counted(tmp_path):
    with pytest.raises(PointsError, match=r"line 11: .*; and 5 lines more$"):
        read_points(write(tmp_path, HEADER + "1\n" * 15))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty; expected the header"),
        ("1,2,3,4\n", "line 1: no column rgb_x"),
        ("rgb_x,rgb_y,thermal_x\n", "no column thermal_y"),
        (f"{HEADER.strip()},range\n", "column 'range'"),
        (f"{HEADER.strip()},X,Y\n", "X, Y and Z were expected together"),
        (f"{HEADER.strip()},X,Y,Z,depth\n", "X, Y, Z and depth; one of them"),
        (f"{HEADER.strip()},rgb_x\n", "a column twice"),
        (f"{HEADER.strip()},depth\n1,2,3,4,0\n", "line 2: depth 0 is not a distance in m above 0"),
        (
            f"{HEADER.strip()},depth\n1,2,3,4,1e300\n",
            "line 2: depth 1e+300 is not a distance in m above 0, at most 100000",
        ),
        (f"{HEADER.strip()},X,Y,Z\n1,2,3,4,1,1,-2\n", "line 2: Z -2 is not a distance"),
        (f"{HEADER.strip()},X,Y,Z\n1,2,3,4,-1e9,1,2\n", "line 2: X -1e+09 is more than 100000 m"),
    ],
)
def test_what_is_no_file_of_points(text, words, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(PointsError) as caught:
        read_points(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_missing_and_a_binary_file(tmp_path):
    with pytest.raises(PointsError, match=r"nothing.csv: not a readable file of points \(No such file"):
        read_points(tmp_path / "nothing.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(PointsError, match="not a readable file of points"):
        read_points(tmp_path / "binary.csv")
