"""The segmenter with a calibration: what has no thermal is unlabeled, and a calibration changes between frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import box_surfaces, default_rig, plane_surfaces, render_rig
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.alignment.resample import resize_mask
from rgbt_seg_ros.pipeline.backends import Engine, Inference
from rgbt_seg_ros.pipeline.calibration import write_calibration
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.preparation import ThermalFacts
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings


class StandIn(Engine):
    """An engine that keeps what it was given and finds class 1 everywhere."""

    name = "fixed"

    def infer(self, pairs, output_size, scales=None):
        self.pairs = pairs
        return [
            Inference(np.ones(output_size, np.uint8), np.full(output_size, 200, np.uint8), {"masks": 0.0})
            for _ in pairs
        ]

    def close(self):
        pass


def rig():
    full = default_rig()
    return replace(full, rgb=full.rgb.scaled((120, 160)), thermal=full.thermal.scaled((128, 160)))


@pytest.fixture(scope="module")
def spec():
    return read_model("demo")[0]


def segmenter(spec, mode, calibration, **more):
    settings = SegmenterSettings(
        input_size=more.pop("input_size", "60x80"),
        alignment=AlignmentSettings(mode),
        thermal=ThermalSettings("none"),
        **more,
    )
    return Segmenter(spec, StandIn(), settings, Aligner(calibration, settings.alignment))


def test_pixels_without_thermal_are_unlabeled_in_the_masks_size(spec):
    pair, scene = rig(), render_rig(rig(), box_surfaces(3))
    # What is hidden by less than 1.5 of the network's pixels is let through.
    for input_size, share in (("60x80", 0.65), ("image", 0.85)):
        aligner = segmenter(spec, "depth", pair, input_size=input_size)
        masks = aligner(scene.rgb, scene.thermal, scene.depth)
        assert masks.label.shape == masks.confidence.shape == (120, 160)
        hole = masks.label == UNLABELED
        assert 0.02 < hole.mean() < 0.25
        np.testing.assert_array_equal(masks.confidence == 0, hole)
        assert (masks.label[~hole] == 1).all()
        assert (masks.confidence[~hole] == 200).all()
        assert (hole & ~scene.visible).sum() > share * (~scene.visible).sum()


def test_the_network_gets_the_aligned_image_and_neutral_grey_beyond_it(spec):
    pair, scene = rig(), render_rig(rig(), plane_surfaces(5.0))
    shifted = replace(pair, thermal=pair.thermal.scaled((128, 160)), plane_distance=0.4)
    aligned = segmenter(spec, "plane", pair, input_size="image")
    prepared = aligned.prepare(scene.rgb, scene.thermal)
    assert np.abs(prepared.thermal.astype(int) - scene.aligned).max() <= 2
    beyond = segmenter(spec, "plane", shifted, input_size="image").prepare(scene.rgb, scene.thermal)
    assert (~beyond.valid).any()
    assert (beyond.thermal[~beyond.valid] == spec.thermal.neutral[0]).all()


def test_mode_none_gives_the_network_what_resizing_gives(spec):
    scene = render_rig(rig(), plane_surfaces(5.0))
    prepared = segmenter(spec, "none", None, input_size="image").prepare(scene.rgb, scene.thermal[:120])
    assert prepared.thermal.base is scene.thermal or np.shares_memory(prepared.thermal, scene.thermal)
    assert prepared.valid is None


def test_rgb_alone_is_segmented_outside_the_thermal_view_too(spec):
    scene = render_rig(rig(), box_surfaces(3))
    masks = segmenter(spec, "depth", rig(), modality="rgb")(scene.rgb, scene.thermal, scene.depth)
    assert (masks.label == 1).all()


def test_warm_up_has_the_calibrations_sizes_and_builds_its_tables(spec):
    for mode in ("plane", "depth"):
        warmed = segmenter(spec, mode, rig())
        warmed.warm_up()
        assert [*warmed.aligner._tables, *warmed.aligner._warps] == [(60, 80)]


def test_the_validity_of_a_fixed_table_is_that_of_every_frame_resampled_and_not_computed_anew(spec):
    scene = render_rig(rig(), plane_surfaces(5.0))
    shifted = replace(rig(), h_rgb_thermal=(1.0, 0.0, 33.0, 0.0, 1.0, 7.0, 0.0, 0.0, 1.0))
    running = segmenter(spec, "homography", shifted)
    first, second = (running.prepare(scene.rgb, scene.thermal).valid for _ in range(2))
    table = running.aligner.table((60, 80))
    assert first is second
    assert 0 < np.count_nonzero(first) < first.size
    np.testing.assert_array_equal(first, resize_mask(table.valid, scene.rgb.shape[:2]))
    for size in ((30, 40), (60, 80), (120, 160)):
        np.testing.assert_array_equal(table.valid_at(size), resize_mask(table.valid, size))


def test_the_validity_of_mode_depth_is_that_of_its_frame(spec):
    scene = render_rig(rig(), plane_surfaces(5.0))
    running = segmenter(spec, "depth", rig())
    without = scene.depth.copy()
    without[:40] = 0
    whole, part = (running.prepare(scene.rgb, scene.thermal, depth).valid for depth in (scene.depth, without))
    assert whole.shape == part.shape == scene.rgb.shape[:2]
    assert np.count_nonzero(part) < np.count_nonzero(whole)
    aligned = running.aligner.align(scene.thermal, (60, 80), without)
    np.testing.assert_array_equal(aligned.valid_at((120, 160)), resize_mask(aligned.valid, (120, 160)))


def test_a_new_calibration_counts_from_the_next_pair(spec):
    scene = render_rig(rig(), plane_surfaces(5.0))
    running = segmenter(spec, "plane", rig(), input_size="image")
    before = running.prepare(scene.rgb, scene.thermal).thermal
    running.realign(Aligner(replace(rig(), plane_distance=2.0), AlignmentSettings("plane")))
    assert list(running.aligner._tables) == [(120, 160)]
    assert not np.array_equal(running.prepare(scene.rgb, scene.thermal).thermal, before)


def test_images_that_the_calibration_is_not_for_are_refused(spec):
    scene = render_rig(rig(), plane_surfaces(5.0))
    with pytest.raises(UserError, match=r"rgb\.size"):
        segmenter(spec, "plane", rig())(scene.rgb[:60], scene.thermal)
    with pytest.raises(UserError, match="depth image: missing for this pair"):
        segmenter(spec, "depth", rig())(scene.rgb, scene.thermal)


def test_the_settings_file_is_read_before_the_model(tmp_path):
    write_calibration(tmp_path / "c.yaml", rig())
    settings = SegmenterSettings(alignment=AlignmentSettings("homography", str(tmp_path / "c.yaml")))
    with pytest.raises(UserError, match=r"c\.yaml: homography\.H_rgb_thermal: missing"):
        Segmenter.open("/nowhere/model.safetensors", settings)


def test_an_aligner_that_waits_for_its_calibration_refuses_pairs_until_it_is_replaced(spec):
    scene, plane = render_rig(rig(), plane_surfaces(5.0)), AlignmentSettings("plane")
    settings = SegmenterSettings(input_size="image", alignment=plane, thermal=ThermalSettings("none"))
    running = Segmenter(spec, StandIn(), settings, Aligner.awaiting(plane, "thermal/camera_info"))
    running.warm_up()
    with pytest.raises(UserError, match=r"no calibration yet for mode 'plane': waiting for thermal/camera_info"):
        running(scene.rgb, scene.thermal)
    running.realign(Aligner(rig(), plane))
    assert list(running.aligner._tables) == [(120, 160)]
    assert (running(scene.rgb, scene.thermal).label == 1).any()


def test_auto_does_what_the_calibration_holds(spec):
    whole = rig()
    flat = replace(whole, h_rgb_thermal=(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    assert Aligner(None, AlignmentSettings()).mode == "none"
    assert Aligner(flat, AlignmentSettings()).mode == "plane"
    assert Aligner(replace(flat, plane_distance=None), AlignmentSettings()).mode == "homography"
    assert Aligner(replace(flat, plane_distance=None), AlignmentSettings(plane_distance=3.0)).mode == "plane"
    assert Aligner(replace(flat, t_rgb_thermal=None), AlignmentSettings()).mode == "homography"
    with pytest.raises(
        UserError, match=r"'auto' finds nothing to align by .*; expected a homography, or K of both cameras"
    ):
        Aligner(replace(whole, plane_distance=None), AlignmentSettings())


def test_the_stage_counts_what_it_found_in_the_thermal_image(spec):
    settings = SegmenterSettings(thermal=ThermalSettings(preset="kelvin"), alignment=AlignmentSettings("none"))
    thermal = np.full((48, 64), 290.0, np.float32)
    thermal[:24] = 310.0
    thermal[3, 4] = np.nan
    prepared = Segmenter(spec, StandIn(), settings).prepare(np.zeros((48, 64, 3), np.uint8), thermal)
    assert prepared.facts == ThermalFacts(0, (290.0, 310.0), non_finite=1)


@pytest.mark.parametrize("mode", ["plane", "depth"])
def test_thermal_alone_lands_in_the_pixels_of_the_rgb_image_that_is_missing(spec, mode):
    pair, scene = rig(), render_rig(rig(), box_surfaces(3))
    pair = replace(pair, plane_distance=0.4)  # so near that a part of the RGB image is beyond the thermal one
    whole = segmenter(spec, mode, pair, modality="thermal").prepare(scene.rgb, scene.thermal, scene.depth)
    running = segmenter(spec, mode, pair)
    size = scene.rgb.shape[:2]
    lone = running.prepare(None, scene.thermal, scene.depth, modality="thermal", image_size=size)
    assert lone.image_size == size
    assert lone.facts == whole.facts
    for name in ("rgb", "thermal", "valid"):
        np.testing.assert_array_equal(getattr(lone, name), getattr(whole, name))
    (masks,) = running.segment([lone])
    assert masks.label.shape == size
    np.testing.assert_array_equal(masks.label == UNLABELED, ~lone.valid)
    assert 0 < (~lone.valid).mean() < 1


def test_rgb_alone_needs_no_calibration(spec):
    rgb = np.zeros((120, 160, 3), np.uint8)
    waiting = Aligner.awaiting(AlignmentSettings("plane"), "thermal/camera_info")
    prepared = Segmenter(spec, StandIn(), SegmenterSettings(), waiting).prepare(rgb, None, modality="rgb")
    assert (prepared.valid, prepared.facts) == (None, ThermalFacts())
    assert (prepared.thermal == spec.thermal.neutral[0]).all()
