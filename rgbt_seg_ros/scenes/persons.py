"""People: a skeleton in the body's own frame, posed, turned and dressed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.scenes.board import Board, xy
from rgbt_seg_ros.scenes.canvas import Canvas
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.labels import BACKGROUND, PERSON
from rgbt_seg_ros.scenes.outfits import Outfit, draw_outfit
from rgbt_seg_ros.scenes.palette import shade
from rgbt_seg_ros.scenes.things import Standing, Track, Unlit

SMALLEST = 9.0
"""Height (px at 480 rows) below which a person is not painted."""


@dataclass(frozen=True)
class Person(Unlit, Standing):
    """A person on a track; ``heading`` of a standing one is where it looks.

    ``lift`` is the height (m) of what it stands or sits on, ``phase`` where its gait begins (radians).
    """

    track: Track
    height: float
    pose: str
    outfit: Outfit
    phase: float = 0.0
    lift: float = 0.0
    seed: int = 0
    arms: tuple[float, float] = (0.0, 0.0)
    label: int = PERSON

    def _skeleton(self, time: float) -> dict[str, AnyArray]:
        """Return joints in the body frame (to its right, ahead, up), as shares of the height."""
        step = self.phase + (self.track.speed * time / max(self.height * 0.42, 0.1)) * math.pi
        swing = math.sin(step) * (0.46 if self.pose == "walk" else 0.0)
        hip, lean = 0.52, 0.03 if self.pose == "walk" else 0.0
        thigh, shin, upper, lower = 0.25, 0.25, 0.17, 0.15
        joints: dict[str, AnyArray] = {}
        if self.pose == "crouch":
            hip, lean = 0.24, 0.3
        elif self.pose == "sit":
            hip, lean = 0.3, 0.05
        elif self.pose == "ride":
            hip, lean = 0.5, 0.22
        for side, sign in (("l", -1.0), ("r", 1.0)):
            forward = swing * sign
            if self.pose == "crouch":
                a, b = 1.35 + 0.2 * sign, -0.9
            elif self.pose == "sit":
                a, b = 1.45, 0.1 + 0.2 * sign
            elif self.pose == "ride":
                turn = step * 1.3 + (math.pi if sign > 0 else 0.0)
                a = 0.75 + 0.42 * math.sin(turn)
                b = a - 0.95 - 0.2 * math.cos(turn)
            else:
                a = forward
                b = forward - max(0.0, math.cos(step) * sign) * (0.75 if self.pose == "walk" else 0.0) - 0.05
            at_hip = np.array((0.05 * sign, 0.0, hip), np.float32)
            knee = at_hip + np.array((0.005 * sign, math.sin(a) * thigh, -math.cos(a) * thigh), np.float32)
            foot = knee + np.array((0.0, math.sin(b) * shin, -math.cos(b) * shin), np.float32)
            joints["hip" + side], joints["knee" + side], joints["foot" + side] = at_hip, knee, foot
        neck = np.array((0.0, math.sin(lean) * 0.31, hip + math.cos(lean) * 0.31), np.float32)
        joints["neck"] = neck
        joints["head"] = neck + np.array((0.0, math.sin(lean) * 0.06 + 0.012, 0.095), np.float32)
        for index, (side, sign) in enumerate((("l", -1.0), ("r", 1.0))):
            a = -swing * sign * 0.8 + self.arms[index]
            b = a + 0.25 + 0.5 * abs(self.arms[index])
            if self.pose == "ride":
                a, b = 0.95, 1.35
            shoulder = neck + np.array((0.105 * sign, 0.0, -0.03), np.float32)
            elbow = shoulder + np.array((0.025 * sign, math.sin(a) * upper, -math.cos(a) * upper), np.float32)
            hand = elbow + np.array((-0.01 * sign, math.sin(b) * lower, -math.cos(b) * lower), np.float32)
            joints["sho" + side], joints["elb" + side], joints["hand" + side] = shoulder, elbow, hand
        return joints

    def shadow(self, side: Float32Array) -> list[Float32Array]:
        """Return the outline that throws a shadow."""
        h = self.height
        half = ((0.1, 0), (0.16, 0.5 * h), (0.24, 0.82 * h), (0.07, h))
        return [np.array((*half, *((-x, y) for x, y in reversed(half))), np.float32)]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        x, z = self.place(time)
        board = Board(canvas, x, z, self.lift, self.seed)
        if board.depth < 1.0 or self.height * board.size < SMALLEST:
            return
        eye = canvas.camera.position
        view = math.atan2(x - float(eye[0]), z - float(eye[2]))
        turn = self.track.heading - view
        c, s = math.cos(turn), math.sin(turn)
        h = self.height
        flat = {
            name: np.array(((j[0] * c + j[1] * s) * h, j[2] * h), np.float32)
            for name, j in self._skeleton(time).items()
        }
        near, far = ("r", "l") if s < 0 else ("l", "r")
        w = self.outfit.width * h
        o = self.outfit
        facing = c < -0.15  # towards the camera
        self._arm(board, flat, far, w)
        self._leg(board, flat, far, w, 0.88)
        self._leg(board, flat, near, w, 1.0)
        if facing and o.bag_kind == "back":
            self._torso(board, flat, w, abs(c))
        else:
            self._torso(board, flat, w, abs(c))
            self._bag(board, flat, w, c, s)
        self._arm(board, flat, near, w)
        self._head(board, flat, h, c, s)
        if o.umbrella is not None and self.pose in ("walk", "stand"):
            top = flat["head"] + xy(0.0, 0.26 * h)
            board.limb(flat["hand" + near], top, 0.008, 0.008, o.umbrella, BACKGROUND)
            arc = np.linspace(0, math.pi, 9)
            board.poly(np.stack((top[0] + np.cos(arc) * 0.5, top[1] - 0.16 + np.sin(arc) * 0.24), 1), o.umbrella)

    def _leg(self, board: Board, flat: dict[str, AnyArray], side: str, w: float, dark: float) -> None:
        o = self.outfit
        cloth = o.bottom if dark == 1.0 else o.bottom._replace(color=shade(o.bottom.color, dark))
        lower = o.skin if o.skirt else cloth
        hip, knee, foot = flat["hip" + side], flat["knee" + side], flat["foot" + side]
        board.limb(knee, foot, 0.036 * w, 0.026 * w, lower, self.label)
        board.limb(hip, knee, 0.053 * w, 0.04 * w, lower, self.label)
        toe = foot + xy(0.03 * w * math.copysign(1.0, float(knee[0] - hip[0]) or 1.0), -0.012 * w)
        board.limb(foot + xy(0.0, -0.01 * w), toe, 0.022 * w, 0.018 * w, o.shoe, self.label)

    def _arm(self, board: Board, flat: dict[str, AnyArray], side: str, w: float) -> None:
        o = self.outfit
        shoulder, elbow, hand = flat["sho" + side], flat["elb" + side], flat["hand" + side]
        upper = o.top if o.sleeve is o.skin else o.sleeve
        board.limb(elbow, hand, 0.026 * w, 0.02 * w, o.sleeve, self.label)
        board.limb(shoulder, elbow, 0.034 * w, 0.028 * w, upper, self.label)
        board.ellipse(float(hand[0]), float(hand[1]), 0.021 * w, 0.025 * w, o.skin, self.label)

    def _torso(self, board: Board, flat: dict[str, AnyArray], w: float, front: float) -> None:
        o = self.outfit
        hip = (flat["hipl"] + flat["hipr"]) / 2
        neck = flat["neck"]
        shoulders, waist = w * (0.075 + 0.05 * front), w * (0.066 + 0.024 * front)
        if o.skirt or o.coat:
            low = hip - xy(0.0, w * (0.2 if o.skirt else 0.12))
            flare = waist * (1.35 if o.skirt else 1.15)
            skirt = o.bottom if o.skirt else o.top
            corners = (hip + xy(-waist, 0.03 * w), hip + xy(waist, 0.03 * w), low + xy(flare, 0), low + xy(-flare, 0))
            board.poly(np.array(corners), skirt, self.label)
        along = neck - hip
        outline = np.array(
            (
                hip + xy(-waist, -0.03 * w),
                hip + along * 0.45 + xy(-waist * 0.94, 0),
                hip + along * 0.86 + xy(-shoulders, 0),
                neck + xy(-shoulders * 0.75, 0.0),
                neck + xy(-0.03 * w, 0.022 * w),
                neck + xy(0.03 * w, 0.022 * w),
                neck + xy(shoulders * 0.75, 0.0),
                hip + along * 0.86 + xy(shoulders, 0),
                hip + along * 0.45 + xy(waist * 0.94, 0),
                hip + xy(waist, -0.03 * w),
            )
        )
        board.poly(outline, o.top, self.label)
        middle = np.array((hip + xy(0.0, -0.03 * w), neck + xy(0.0, 0.02 * w)))
        dim = o.top._replace(color=shade(o.top.color, 0.8), temp=o.top.temp - 0.5)
        board.poly(np.concatenate((middle, outline[6:] if self.seed % 2 else outline[3::-1])), dim, self.label)
        if o.coat and front > 0.5:  # worn open
            board.limb(middle[0], middle[1], 0.022 * w, 0.03 * w, o.bag, self.label)

    def _bag(self, board: Board, flat: dict[str, AnyArray], w: float, c: float, s: float) -> None:
        o = self.outfit
        hip, neck = (flat["hipl"] + flat["hipr"]) / 2, flat["neck"]
        if o.bag_kind == "back":
            middle = hip + (neck - hip) * 0.62 - xy(s * 0.085 * w, 0.0)
            x, y = middle.tolist()
            board.ellipse(x, y, w * (0.055 + 0.035 * abs(c)), w * 0.125, o.bag, self.label)
        elif o.bag_kind == "shoulder":
            side = flat["hipr"] + xy(c * 0.07 * w, 0.02 * w)
            board.limb(neck - np.array((c * 0.06 * w, 0.0)), side, 0.008 * w, 0.008 * w, o.bag, self.label)
            x, y = side.tolist()
            board.rect(x - 0.06 * w, y - 0.07 * w, x + 0.06 * w, y + 0.04 * w, o.bag, self.label)
        elif o.bag_kind == "hand":
            x, y = flat["handr"].tolist()
            board.rect(x - 0.06 * w, y - 0.14 * w, x + 0.06 * w, y - 0.01 * w, o.bag, self.label)

    def _head(self, board: Board, flat: dict[str, AnyArray], h: float, c: float, s: float) -> None:
        o = self.outfit
        x, y = flat["head"].tolist()
        neck = flat["neck"]
        board.limb(neck, flat["head"], 0.026 * h, 0.026 * h, o.skin, self.label)
        rx, ry = 0.043 * h, 0.062 * h
        if c > 0.35:  # seen from behind
            board.ellipse(x, y, rx, ry, o.hair, self.label)
        else:
            board.ellipse(x, y + 0.008 * h, rx * 1.06, ry * 1.02, o.hair, self.label)
            board.ellipse(x + s * 0.016 * h, y - 0.012 * h, rx * 0.86, ry * 0.8, o.skin, self.label)
        if o.hat:
            board.limb(
                np.array((x - rx * 1.2, y + 0.03 * h)),
                np.array((x + rx * 1.2, y + 0.03 * h)),
                0.01 * h,
                0.01 * h,
                o.bag,
                PERSON,
            )
            board.ellipse(x, y + 0.042 * h, rx * 0.95, 0.03 * h, o.bag, self.label)


def draw_person(
    rng: np.random.Generator, conditions: Conditions, track: Track, pose: str | None = None, lift: float = 0.0
) -> Person:
    """Draw a person on a track; one that does not move stands, crouches or sits."""
    if pose is None:
        pose = "walk" if track.speed > 0 else str(rng.choice(("stand", "crouch", "sit"), p=(0.8, 0.12, 0.08)))
    child = rng.random() < 0.08
    arms = rng.uniform(-0.1, 0.25, 2)
    if rng.random() < 0.25:
        arms[int(rng.integers(2))] = rng.uniform(0.7, 1.7)  # a phone, a gesture
    return Person(
        track=track,
        height=float(rng.uniform(1.05, 1.4) if child else np.clip(rng.normal(1.69, 0.085), 1.48, 1.95)),
        pose=pose,
        outfit=draw_outfit(rng, conditions),
        phase=float(rng.uniform(0, 2 * math.pi)),
        lift=lift,
        seed=int(rng.integers(1 << 16)),
        arms=(float(arms[0]), float(arms[1])),
    )
