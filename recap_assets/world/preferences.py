"""Preferences that the embedded world knows: rich alt-text over partial over a wrong one."""

from collections.abc import Collection, Iterator

from recap_assets.world import texts
from recap_assets.world.scenes import stream, world_of
from recap_assets.world.views import pool_scene
from recap_assets.world.writing import pool_uid


def preferences_of(
    seed: int, uids: Collection[bytes], views: int = 1
) -> Iterator[tuple[bytes, str, str]]:
    """Uid, better and worse text of pool images: two preferences an image, in the pool's order.

    Args:
        seed: Of the world.
        uids: Of the images asked for; those of the pool have the numbers from 0 on.
        views: Pictures of each scene of the pool.
    """
    world, left, number = world_of(seed), set(uids), 0
    while left and number < 2 * len(uids) + 1_000:
        uid = pool_uid(seed, number)
        if uid in left:
            left.discard(uid)
            _, scene = pool_scene(world, number, views)
            rng = stream(seed, "preferences", number)
            rich, partial = (texts.text_of(kind, rng, scene, world) for kind in ("rich", "partial"))
            yield uid, rich, partial
            yield uid, partial, texts.text_of("wrong", rng, scene, world)
        number += 1
