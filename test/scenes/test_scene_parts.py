import math
from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.scenes.bikes import draw_bike
from rgbt_seg_ros.scenes.camera import NEAR, Pose, clip_near, look
from rgbt_seg_ros.scenes.canvas import Canvas, Material
from rgbt_seg_ros.scenes.cars import draw_car
from rgbt_seg_ros.scenes.conditions import draw_conditions
from rgbt_seg_ros.scenes.ground import Kerb
from rgbt_seg_ros.scenes.labels import BIKE, CAR, CONE, CURVE, PERSON
from rgbt_seg_ros.scenes.persons import draw_person
from rgbt_seg_ros.scenes.pixel_fields import pixel_fields
from rgbt_seg_ros.scenes.radiometry_thermal import temperatures
from rgbt_seg_ros.scenes.street_items import draw_cone
from rgbt_seg_ros.scenes.things import Track
from rgbt_seg_ros.scenes.world import CameraPath, World, paint

SIZE = (240, 320)
LEVEL = Pose(0.0, 1.5, 0.0, 0.0, 0.0, 0.0)


def camera(pose=LEVEL):
    return look(pose, SIZE, 1.0)


def world(things, group="night"):
    conditions = draw_conditions(np.random.default_rng(3), group)
    return World(conditions, CameraPath(LEVEL, 1.0, 0.0, 0.0, 0.0, 1.0), (), tuple(things), False)


def test_points_project_as_a_pinhole_does():
    view = camera()
    pixels = view.to_pixels(view.to_camera(np.array(((0, 1.5, 10.0), (1, 1.5, 10.0), (0, 2.5, 10.0)))))
    cx, cy = view.centre
    np.testing.assert_allclose(pixels, ((cx, cy), (cx + 32, cy), (cx, cy - 32)), atol=1e-3)


@pytest.mark.parametrize(
    ("pose", "axis", "sign"),
    [({"yaw": 0.1}, 0, -1), ({"pitch": 0.1}, 1, -1), ({"x": 1.0}, 0, -1), ({"height": 2.5}, 1, 1)],
)
def test_turning_or_moving_the_camera_moves_the_picture_the_other_way(pose, axis, sign):
    point = np.array(((0.0, 1.5, 10.0),))
    still, moved = camera(), camera(Pose(**{**LEVEL.__dict__, **pose}))
    shift = (moved.to_pixels(moved.to_camera(point)) - still.to_pixels(still.to_camera(point)))[0]
    assert shift[axis] * sign > 5


def test_roll_turns_the_picture_anticlockwise_for_a_camera_turned_clockwise():
    view = camera(Pose(0, 1.5, 0, 0, 0, 0.2))
    right = view.to_pixels(view.to_camera(np.array(((1, 1.5, 10.0),))))[0]
    assert right[1] < view.centre[1]


def test_clipping_cuts_at_the_near_plane_and_keeps_what_is_before_it():
    cut = clip_near(np.array(((0, 0, -1.0), (0, 1, 3.0), (0, -1, 3.0))))
    assert cut[:, 2].min() == pytest.approx(NEAR)
    assert len(cut) == 4
    assert len(clip_near(np.array(((0, 0, -1.0), (0, 1, -3.0), (0, -1, -2.0))))) == 0


def test_depth_of_the_ground_follows_from_its_plane():
    canvas = Canvas(camera())
    canvas.fill(
        np.array(((-1, 120), (321, 120), (321, 241), (-1, 241))),
        canvas.part(Material((90, 90, 90), 15.0), canvas.ground),
    )
    fields = pixel_fields(canvas)
    row = 200
    depth = 1.5 * canvas.camera.focal / (row - canvas.camera.centre[1])
    np.testing.assert_allclose(1 / fields.inverse[row], depth, rtol=1e-3)
    assert fields.sky[:119].all()
    assert fields.ground[121:].all()


def test_the_nearer_of_two_things_hides_the_farther_in_any_order():
    rng = np.random.default_rng(1)
    night = draw_conditions(rng, "night")
    near = draw_cone(rng, night, Track(0.0, 4.0), 5)
    far = draw_car(rng, night, Track(0.0, 9.0))
    one, other = (paint(world(order), 0.0, SIZE).label for order in ((near, far), (far, near)))
    np.testing.assert_array_equal(one, other)
    cone = paint(world((near,)), 0.0, SIZE).label == CONE
    assert cone.sum() > 50
    assert (one[cone] == CONE).all()
    assert (one == CAR).sum() > 200


def test_a_person_is_as_tall_in_the_picture_as_the_distance_says():
    rng = np.random.default_rng(2)
    person = draw_person(rng, draw_conditions(rng, "day"), Track(0.3, 8.0), "stand")
    rows = np.flatnonzero((paint(world((person,)), 0.0, SIZE).label == PERSON).any(1))
    assert rows[-1] - rows[0] == pytest.approx(person.height * 320 / 8, rel=0.1)


def test_a_walking_person_strides_and_keeps_its_clothes():
    rng = np.random.default_rng(2)
    person = draw_person(rng, draw_conditions(rng, "day"), Track(-0.5, 6.0, math.pi / 2, 1.4))
    scene = world((person,))
    frames = [paint(scene, time, SIZE) for time in (0.0, 0.25, 0.5)]
    middles = [np.nonzero(frame.label == PERSON)[1].mean() for frame in frames]
    assert middles[0] + 5 < middles[1] < middles[2] - 5
    colours = [{part[:3] for part in frame.parts} for frame in frames]
    assert colours[0] == colours[1] == colours[2]


def test_a_rider_is_a_person_on_a_bike():
    rng = np.random.default_rng(4)
    day = draw_conditions(rng, "day")
    track = Track(0.0, 6.0, math.pi / 2, 3.0)
    bike = draw_bike(rng, day, track, draw_person(rng, day, track, "ride"), scooter=False)
    label = paint(world((bike,)), 0.0, SIZE).label
    assert np.nonzero(label == PERSON)[0].mean() < np.nonzero(label == BIKE)[0].mean()
    assert set(np.unique(label)) == {0, PERSON, BIKE}


def test_a_car_is_seen_from_every_side():
    rng = np.random.default_rng(6)
    day = draw_conditions(rng, "day")
    widths = {}
    for degrees in range(0, 360, 30):
        car = draw_car(np.random.default_rng(6), day, Track(0.0, 12.0, math.radians(degrees)))
        columns = np.flatnonzero((paint(world((car,)), 0.0, SIZE).label == CAR).any(0))
        widths[degrees] = columns[-1] - columns[0] + 1
    scale = 320 / 12
    assert widths[0] == pytest.approx(car.shape.width * scale, rel=0.3)
    assert widths[90] == pytest.approx(car.shape.length * scale, rel=0.25)
    assert min(widths.values()) > 0.8 * car.shape.width * scale


def test_a_running_engine_is_warm():
    night = draw_conditions(np.random.default_rng(6), "night")
    parked = draw_car(np.random.default_rng(8), night, Track(0.0, 7.0, math.pi + 0.4), running=False)
    warmest = []
    for engine in (0.0, 10.0):
        scene = world((replace(parked, engine=engine),))
        canvas = paint(scene, 0.0, SIZE)
        heat = temperatures(canvas, pixel_fields(canvas), scene.conditions)
        warmest.append(np.percentile(heat[canvas.label == CAR], 95))
    assert warmest[1] > warmest[0] + 2


def test_a_kerb_is_labelled_as_long_as_it_looks_thick():
    z = np.arange(3.0, 90, 1.0)
    inner = np.stack((np.full_like(z, 1.0), z), 1)
    outer = np.stack((np.full_like(z, 1.2), z), 1)
    stone = Material((160, 160, 160), 12.0)
    canvas = Canvas(camera())
    Kerb(inner, outer, 0.15, stone, stone).draw(canvas)
    labelled = canvas.label == CURVE
    assert labelled.any()
    painted = canvas.ids > 0
    assert painted.sum() > labelled.sum()
    assert np.nonzero(labelled)[0].min() > np.nonzero(painted)[0].min()


def test_lifeless_contrast_fades_at_the_crossover():
    spread = {True: [], False: []}
    for seed in range(300):
        found = draw_conditions(np.random.default_rng(seed), "dusk" if seed % 2 else "day")
        spread[found.crossover].append(np.std(list(found.excess.values())))
    assert np.mean(spread[True]) < 0.5 * np.mean(spread[False])
