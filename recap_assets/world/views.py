"""Scenes of the pool: each seen once or several times, and where its things are in a picture."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from recap_assets.world.scenes import CANVAS, N_VARIANTS, Scene, Thing, World, draw_scene, stream

_NEAREST, _FURTHEST = 1.12, 0.8
_SHIFT = 7.0
_TURN = 10.0
_BRIGHTNESS = (0.75, 1.15)


@dataclass(frozen=True)
class Drawing:
    """How a pool is drawn.

    Attributes:
        views: Pictures of each scene, one after the other.
        boxes: Whether a sample says where its things are.
    """

    views: int = 1
    boxes: bool = False

    def unusual(self) -> Mapping[str, object]:
        """What is not as in a pool of one view each without boxes, by name."""
        return {
            **({"views": self.views} if self.views > 1 else {}),
            **({"boxes": True} if self.boxes else {}),
        }

    def beside(self, scene: Scene, number: int) -> Mapping[str, object]:
        """What a sample's json has of it: `group` of several views, `boxes` of its things."""
        found: dict[str, object] = {}
        if self.views > 1:
            found["group"] = f"scene {number // self.views}"
        if self.boxes:
            found["boxes"] = [box_of(thing) for thing in scene.things]
        return found


AS_EVER = Drawing()


def pool_scene(world: World, number: int, views: int = 1) -> tuple[Random, Scene]:
    """The scene of a sample of the pool, and the random numbers for what else there is to draw."""
    if views == 1:
        rng = stream(world.seed, "pool", number)
        return rng, draw_scene(rng, world)
    scene = draw_scene(stream(world.seed, "pool", number // views), world)
    rng = stream(world.seed, "pool view", number)
    return rng, seen_again(rng, scene)


def seen_again(rng: Random, scene: Scene) -> Scene:
    """The same things in front of the same kind of background, from elsewhere in another light.

    All things are nearer or further, shifted and turned together, so that what is left of another
    stays there.
    """
    nearness = _between(rng, _FURTHEST, _NEAREST)
    shift = (_between(rng, -_SHIFT, _SHIFT), _between(rng, -_SHIFT, _SHIFT))
    turn = _between(rng, -_TURN, _TURN)
    things = tuple(_moved(thing, nearness, shift, turn) for thing in scene.things)
    variant, brightness = int(rng.random() * N_VARIANTS), _between(rng, *_BRIGHTNESS)
    return replace(scene, things=things, variant=variant, brightness=brightness)


def box_of(thing: Thing) -> list[float]:
    """Left, upper, right and lower end of a thing, in shares of the picture's side."""
    across, down = thing.half_size * thing.squeeze, thing.half_size / thing.squeeze
    ends = (thing.x - across, thing.y - down, thing.x + across, thing.y + down)
    return [round(min(max(end / CANVAS, 0.0), 1.0), 4) for end in ends]


def _moved(thing: Thing, nearness: float, shift: tuple[float, float], turn: float) -> Thing:
    centre = CANVAS / 2
    return replace(
        thing,
        x=centre + (thing.x - centre) * nearness + shift[0],
        y=centre + (thing.y - centre) * nearness + shift[1],
        half_size=thing.half_size * nearness,
        turn=thing.turn + turn,
    )


def _between(rng: Random, low: float, high: float) -> float:
    return low + (high - low) * rng.random()
