from collections import Counter
from typing import get_args

import numpy as np
import pytest

from recap_assets.evaluation.kinds.embedded import EmbeddedTask
from recap_assets.world.evaluation import TASKS
from recap_assets.world.harder import HARDER
from recap_assets.world.scenes import FINE, draw_scene, stream, world_of
from recap_assets.world.texts import clean_caption, name_probabilities

CHOICES = get_args(EmbeddedTask.model_fields["task"].annotation)


def test_the_tasks_are_those_of_the_spec() -> None:
    assert {*TASKS, *HARDER} == set(CHOICES)


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"retrieval"}))
def test_classes_are_even_and_labels_name_them(task: str) -> None:
    held_out = TASKS[task]
    world = world_of(2)
    n_labels = 12 if task == "tail" else len(held_out.classes)
    labels = Counter(held_out.draw(world, i).label for i in range(2 * n_labels))
    assert set(labels.values()) == {2}
    assert len(labels) == n_labels
    assert set(labels) <= set(range(len(held_out.classes)))
    assert all("{c}" in template for template in held_out.templates)


def test_the_tail_task_shows_the_rarest_third_among_all_names() -> None:
    world = world_of(2)
    labels = {TASKS["tail"].draw(world, i).label for i in range(24)}
    assert labels == set(world.tail)
    assert TASKS["tail"].classes == tuple(fine.name for fine in FINE)


def test_prompts_are_written_in_the_words_of_the_captions() -> None:
    world = world_of(2)
    names = name_probabilities(world, "reference")
    known = set()
    for i in range(4_000):
        rng = stream(2, "test", i)
        known.update(clean_caption(rng, draw_scene(rng, None), names).replace(",", "").split())
    for task in TASKS.values():
        prompts = [t.format(c=c) for t in task.templates for c in task.classes]
        assert {word for prompt in prompts for word in prompt.split()} <= known


def test_retrieval_has_five_references_and_no_label() -> None:
    drawn = [TASKS["retrieval"].draw(world_of(2), i) for i in range(40)]
    assert {len(one.captions) for one in drawn} == {5}
    assert {one.label for one in drawn} == {None}
    assert len({one.captions for one in drawn}) == 40


def test_the_shifted_task_has_noise_and_permuted_channels() -> None:
    world = world_of(2)
    plain = [TASKS["fine"].draw(world, i).pixels for i in range(36)]
    shifted = [TASKS["fine_shifted"].draw(world, i).pixels for i in range(36)]
    assert _roughness(shifted) > _roughness(plain) + 5


def _roughness(pictures: list[np.ndarray]) -> float:
    """Median difference between neighbours: noise raises it, drawn edges hardly do."""
    return float(np.median([np.abs(np.diff(p.astype(int), axis=0)) for p in pictures]))


def test_sets_of_two_tasks_and_two_worlds_share_no_picture() -> None:
    pictures = {
        TASKS[task].draw(world_of(seed), i).pixels.tobytes()
        for task in ("fine", "coarse", "retrieval")
        for seed in (1, 2)
        for i in range(20)
    }
    assert len(pictures) == 120
