"""Contracts of sets: subclass one of them in a module of tests.

A set that keeps its contract has the same members in any shards, and says of all others why::

    class TestShortTexts(ComputedSetContract):
        spec = ShortTexts(kind="short_texts", words=12)

The pool that it is tried on is that of `recap_assets.testing.stored_pool`: it may name the scorer
`clip`, the image scorer `aesthetic` and the source `raw`.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recap_assets.artefacts.sets import UID_SETS
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.stage import Node, Project, Step
from recap_assets.sets import assets
from recap_assets.sets.kind import ComputedSet, GivenSet
from recap_assets.sets.targets import ImagesTarget, Target
from recap_assets.specs.base import Spec, marks_of
from recap_assets.specs.fields import Mark
from recap_assets.testing.stored_pool import SAMPLES, stored_pool, uid_of

NAME = "tried"
IN_ORDER = [list(range(8)), list(range(8, SAMPLES))]
SHUFFLED = np.array_split(np.random.default_rng(5).permutation(SAMPLES), 3)
REASON = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Built:
    """A set that was built.

    Attributes:
        project: The experiment in its workspace.
        members: Numbers of the samples.
        reasons: How many others there are by reason.
    """

    project: Project
    members: frozenset[int]
    reasons: Mapping[str, int]


def built(folder: Path, spec: ComputedSet, parts: Sequence[Sequence[int]]) -> Built:
    """The set on a pool of these samples, with all that it reads."""
    project = stored_pool(folder, parts, sets={NAME: spec})
    (own,) = [node for node in assets.nodes(project) if node.key == UID_SETS.key(NAME)]
    reasons: dict[str, int] = {}
    for node in (*spec.nodes(NAME, project), own):
        for reason, n in _computed(project, node).items():
            reasons[reason] = reasons.get(reason, 0) + n * (node is own)
    numbers = {uid_of(number): number for number in range(SAMPLES)}
    members = frozenset(numbers[uid] for uid in assets.members_of(project, NAME))
    return Built(project, members, reasons)


_in_order: dict[tuple[type[ComputedSet], str], tuple[tempfile.TemporaryDirectory[str], Built]] = {}


def _built_in_order(spec: ComputedSet) -> Built:
    """The set on the pool in order: built once for all tests of a spec, which only read it."""
    key = type(spec), spec.model_dump_json()
    if key not in _in_order:
        folder = tempfile.TemporaryDirectory(prefix="recap_built_set_")
        _in_order[key] = folder, built(Path(folder.name), spec, IN_ORDER)
    return _in_order[key][1]


def _computed(project: Project, node: Node) -> Mapping[str, int]:
    reasons: dict[str, int] = {}
    for partition in project.partitions if node.dimension == "pool" else ("",):
        outcome = compute_and_write(node, Step(partition, asset=node.key))
        for reason, n in outcome.rejected.items():
            reasons[reason] = reasons.get(reason, 0) + n
    return reasons


class ComputedSetContract:
    """What must hold of every kind below `ComputedSet`; its tests need `spec` alone."""

    spec: ComputedSet

    def test_each_sample_is_a_member_or_has_a_reason(self) -> None:
        """Nothing is lost, and a reason is a word that can be counted."""
        found = _built_in_order(self.spec)
        assert len(found.members) + sum(found.reasons.values()) == SAMPLES
        assert all(REASON.fullmatch(reason) for reason in found.reasons)

    def test_members_are_the_same_in_any_shards_and_order(self, tmp_path: Path) -> None:
        """No sample depends on those that are beside it, and nothing is drawn without a seed."""
        one = _built_in_order(self.spec)
        other = built(tmp_path, self.spec, [part.tolist() for part in SHUFFLED])
        assert one.members == other.members
        assert one.reasons == other.reasons

    def test_of_an_image_alone_the_answer_is_the_same_with_the_reason_in_words(self) -> None:
        """As `recap mix explain` asks."""
        found = _built_in_order(self.spec)
        for partition, part in zip(found.project.partitions, IN_ORDER, strict=True):
            for number in part:
                why = assets.why_not(found.project, NAME, partition, uid_of(number))
                assert all(one.strip() for one in why)
                assert bool(why) == (number not in found.members)

    def test_a_partition_without_a_sample_has_no_member(self, tmp_path: Path) -> None:
        """The smallest pool builds."""
        found = built(tmp_path, self.spec, [[], list(range(SAMPLES))])
        empty, _ = found.project.partitions
        assert not len(assets.members_of(found.project, NAME, empty))

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        _check_marks(self.spec)


class GivenSetContract:
    """What must hold of every kind below `GivenSet`; its tests need `spec` alone."""

    spec: GivenSet

    def test_members_are_uids_and_stay_the_same(self) -> None:
        """16 bytes each."""
        members = self.spec.members()
        assert all(isinstance(uid, bytes) and len(uid) == 16 for uid in members)
        assert members.equals(self.spec.members())

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        _check_marks(self.spec)


class TargetContract:
    """What must hold of every kind of target of an image-based set; its tests need `spec` alone."""

    spec: Target

    def test_it_is_found_to_be_in_order(self) -> None:
        """`recap doctor` asks."""
        self.spec.check()

    def test_embeddings_are_rows_of_one_space_and_stay_the_same(self, tmp_path: Path) -> None:
        """Floats, shape (n, dimension); nothing is drawn without a seed."""
        parts = self._parts(tmp_path)
        assert sum(len(part) for part in parts)
        assert {part.shape[1:] for part in parts} == {parts[0].shape[1:]}
        assert all(part.ndim == 2 and np.isfinite(part).all() for part in parts)
        again = zip(parts, self._parts(tmp_path), strict=True)
        assert all(np.array_equal(one, other) for one, other in again)

    def _parts(self, folder: Path) -> list[NDArray[np.floating]]:
        project = stored_pool(folder, IN_ORDER)
        return [vectors for vectors, _ in self.spec.embedded(project, "clip")]

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        _check_marks(self.spec)


class ImagesTargetContract(TargetContract):
    """The same for a kind below `ImagesTarget`: what its images are, embedded by their colour."""

    spec: ImagesTarget  # pyright: ignore[reportIncompatibleVariableOverride] - a narrower one

    def test_images_are_decoded(self, tmp_path: Path) -> None:
        """8-bit RGB, shape (height, width, 3)."""
        for images, n_unreadable in self.spec.batches(stored_pool(tmp_path, IN_ORDER)):
            assert n_unreadable >= 0
            assert all(one.dtype == np.uint8 and one.shape[2:] == (3,) for one in images)

    def _parts(self, folder: Path) -> list[NDArray[np.floating]]:
        batches = self.spec.batches(stored_pool(folder, IN_ORDER))
        colours = [[one.reshape(-1, 3).mean(axis=0) for one in images] for images, _ in batches]
        return [np.array(part, np.float32).reshape(-1, 3) for part in colours]


def _check_marks(spec: Spec) -> None:
    marked = {name for name, mark in marks_of(type(spec)).items() if isinstance(mark, Mark)}
    assert not marked & spec.decides().keys()
