"""The contract of a use: subclass `UseContract` in a module of tests.

A use that keeps it takes the same captions in any order and partition, and is explained::

    class TestShortest(UseContract):
        use = ShortestOf(shortest_of=("raw", "blip2"))
"""

import json
from collections.abc import Iterator

import polars as pl

from recap_assets.mixes.explanation import explain
from recap_assets.mixes.images import Images
from recap_assets.mixes.selection import decide, select
from recap_assets.mixes.uses.kind import Use
from recap_assets.specs.base import marks_of
from recap_assets.specs.fields import Mark
from recap_assets.specs.mixes import Mix, Rule, columns_read
from recap_assets.specs.uses import UseSpec
from recap_assets.testing.candidates import (
    cutoffs_of,
    in_parts,
    mix_of,
    read_by,
    some_candidates,
)


class UseContract:
    """What must hold of every kind of use; its tests need `use` alone."""

    use: Use

    def candidates(self, *, gaps: bool = True) -> pl.DataFrame:
        """Captions of the sources that it says it uses; of others there are none."""
        mix = mix_of(self.use)
        return read_by(mix, some_candidates(columns_read(mix), gaps=gaps))

    def pairs(self, mix: Mix, candidates: pl.DataFrame) -> pl.DataFrame:
        """What the mix takes of them."""
        return select(mix, cutoffs_of(mix, candidates), candidates, {})

    def usable(self, candidates: pl.DataFrame) -> set[bytes]:
        """The images of which it can take anything."""
        images = Images.for_mixes(candidates, [mix_of(self.use)]).frame
        return set(images.filter(self.use.usable())["uid"])

    def test_an_image_is_decided_alone(self) -> None:
        """The same pairs in any order and partition, by the sources that it says it uses."""
        mix, candidates = mix_of(self.use), self.candidates()
        parts = [self.pairs(mix, part) for part in in_parts(candidates, seed=1)]
        order = ("shard", "uid", "rule", "source", "candidate")
        assert pl.concat(parts).sort(order).equals(self.pairs(mix, candidates))

    def test_every_image_with_the_texts_gives_a_pair(self) -> None:
        """And no other; a text and a positive weight each."""
        pairs = self.pairs(mix_of(self.use), self.candidates())
        assert set(pairs["uid"]) == self.usable(self.candidates())
        assert (pairs["text"].fill_null("").str.strip_chars() != "").all()
        assert (pairs["weight"] > 0).all()
        assert self.use.gives_several or pairs["uid"].is_unique().all()

    def test_weights_are_those_that_it_says(self) -> None:
        """What an export goes by that parts its samples by weight."""
        mix = mix_of(self.use, weight=3.0)
        said = pl.Series(sorted(mix.weights), dtype=pl.Float32).implode()
        assert self.pairs(mix, self.candidates())["weight"].is_in(said).all()

    def test_candidates_share_the_weight_of_their_image(self) -> None:
        """An image is drawn as often, however many of its captions are used."""
        if self.use.why_one_candidate:
            assert _refuses_candidates(self.use)
            return
        found = [
            self.pairs(mix_of(self.use, candidates=n), self.candidates())
            .group_by("uid", maintain_order=True)
            .agg(pl.col("weight").cast(pl.Float64).sum().round(5))
            for n in (1, 2)
        ]
        assert found[0].equals(found[1])

    def test_texts_change_no_choice_unless_it_says_so(self) -> None:
        """`recap mix try` counts without texts where no mix looks at them."""
        if self.use.reads_texts:
            return
        mix, candidates = mix_of(self.use), self.candidates(gaps=False)
        cutoffs = cutoffs_of(mix, candidates)
        images = Images.for_mixes(candidates.drop("text"), [mix])
        counted = decide(mix, cutoffs, images, {}).emit().drop("text")
        assert counted.equals(self.pairs(mix, candidates).drop("text"))

    def test_what_is_left_without_a_source_does_not_use_it(self) -> None:
        """As `leave_one_source_out` takes it out; nothing is left where there was no other."""
        for source in self.use.sources:
            left = self.use.without(source)
            others = [name for name in self.use.sources if name != source]
            assert (left is None) == (not others)
            if left is not None:
                assert set(left.sources) == set(others)
        assert self.use.without("of_no_mix") == self.use

    def test_which_captions_are_taken_is_told(self) -> None:
        """In one line for each image, and why of one that gives nothing."""
        mix, candidates = mix_of(self.use), self.candidates()
        cutoffs = cutoffs_of(mix, candidates)
        usable = self.usable(candidates)
        for uid in candidates["uid"].unique():
            (rule,) = explain(mix, cutoffs, candidates, {}, uid).rules
            assert rule.accepts == (uid in usable)
            assert rule.use.strip()
            assert "\n" not in rule.use

    def test_what_is_written_is_read_back(self) -> None:
        """Records keep it, and what is left of it, as JSON."""
        for one in (self.use, *_left(self.use)):
            written = json.loads(one.canonical())
            given = {"source": written} if isinstance(written, str) else written
            assert type(one).model_validate(given) == one

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        marks = marks_of(type(self.use))
        marked = {name for name, mark in marks.items() if isinstance(mark, Mark)}
        written = self.use.decides()
        assert isinstance(written, str) or not marked & written.keys()


def _refuses_candidates(use: UseSpec) -> bool:
    try:
        Rule.model_validate({"use": use, "candidates": 2})
    except ValueError as error:
        return use.why_one_candidate in str(error)
    return False


def _left(use: UseSpec) -> Iterator[UseSpec]:
    found = (use.without(source) for source in use.sources)
    return (left for left in found if left is not None)
