"""The contract of a condition: subclass `ConditionContract` in a module of tests.

A condition that keeps it decides the same in any order and partition, and is explained::

    class TestWordy(ConditionContract):
        condition = Wordy(words_at_least=5)
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from recap_assets.mixes.clauses import Clause, clause_of
from recap_assets.mixes.conditions.kind import Condition, Known
from recap_assets.mixes.explanation import EvaluatedClause, explain
from recap_assets.mixes.selection import select
from recap_assets.mixes.used import images_with_used
from recap_assets.specs.base import marks_of
from recap_assets.specs.conditions import Place
from recap_assets.specs.fields import Mark
from recap_assets.specs.mixes import Mix, columns_read
from recap_assets.testing.candidates import (
    cutoffs_of,
    in_parts,
    mix_of,
    read_by,
    some_candidates,
    some_sets,
)

Decided = Mapping[bytes, bool | None]


class ConditionContract:
    """What must hold of every kind of condition; its tests need `condition` alone."""

    condition: Condition
    used: str = "raw"

    @property
    def mix(self) -> Mix:
        """The smallest mix with the condition."""
        return mix_of(self.used, where=self.condition)

    def candidates(self, *, gaps: bool = True) -> pl.DataFrame:
        """Captions of the columns that it says it reads; of others there are none."""
        return read_by(self.mix, some_candidates(columns_read(self.mix), gaps=gaps))

    def known(self, candidates: pl.DataFrame) -> Known:
        """The cut-offs that it needs, and the members of the sets that it names."""
        cutoffs = cutoffs_of(self.mix, candidates)
        return Known(dict(cutoffs.select("path", "value").iter_rows()), some_sets(self.mix))

    def clause(self, candidates: pl.DataFrame) -> Clause:
        """The condition where it is in the mix."""
        place = self.mix.rules[0].place(0)
        return clause_of(self.condition, place, self.known(candidates))

    def decided(self, clause: Clause, candidates: pl.DataFrame) -> Decided:
        """What it comes to for each image."""
        frame = images_with_used(self.mix, candidates).frame
        found = frame.select("uid", holds=clause.holds)
        assert found.schema["holds"] in (pl.Boolean, pl.Null), "it is true, false or null"
        return dict(found.iter_rows())

    def test_an_image_is_decided_alone(self) -> None:
        """The same in any order and partition, by what it says that it reads."""
        candidates = self.candidates()
        clause = self.clause(candidates)
        found: dict[bytes, bool | None] = {}
        for part in in_parts(candidates, seed=1):
            found |= self.decided(clause, part)
        assert found == self.decided(clause, candidates)

    def test_texts_change_nothing_unless_it_says_so(self) -> None:
        """`recap mix try` counts without texts where no condition looks at them."""
        candidates = self.candidates(gaps=False)
        clause = self.clause(candidates)
        if not self.condition.needs_texts:
            without = self.decided(clause, candidates.drop("text"))
            assert without == self.decided(clause, candidates)

    def test_it_says_which_source_it_means(self) -> None:
        """Where a rule uses several, the file is refused, and not what is built from it."""
        nowhere = Place("rules.0.where", None)
        try:
            self.condition.check(nowhere)
        except ValueError:
            return
        clause_of(self.condition, nowhere, self.known(self.candidates()))

    def test_cutoffs_are_of_the_place_where_it_stands(self) -> None:
        """Two such conditions of one mix share no cut-off."""
        here, there = (
            [one.path for one in self.condition.needs(Place(path, self.used))]
            for path in ("rules.0.where", "rules.1.where.any.0")
        )
        assert len(set(here)) == len(here)
        assert all(path.startswith("rules.0.where.") for path in here)
        assert [path.replace("rules.0.where", "rules.1.where.any.0") for path in here] == there

    def test_its_parts_stand_where_it_says(self) -> None:
        """The paths of `inside` lead to the parts in what is written."""
        written = json.loads(self.condition.canonical())
        for path, part in self.condition.inside().items():
            at: Any = written
            for step in path.split("."):
                at = at[int(step) if step.isdecimal() else step]
            assert at == json.loads(part.canonical())

    def test_what_it_decides_is_selected_and_told(self) -> None:
        """A mix with it takes the images where it holds, and one line says why of each."""
        candidates, mix = self.candidates(), self.mix
        cutoffs, sets = cutoffs_of(mix, candidates), some_sets(mix)
        taken = set(select(mix, cutoffs, candidates, sets)["uid"])
        for uid, holds in self.decided(self.clause(candidates), candidates).items():
            (rule,) = explain(mix, cutoffs, candidates, sets, uid).rules
            assert rule.where is not None
            assert rule.where.holds == holds
            assert rule.accepts <= (holds is True)
            assert rule.accepts == (uid in taken)
            for one in _all_within(rule.where):
                assert one.words.strip()
                assert "\n" not in one.words

    def test_what_is_written_is_read_back(self) -> None:
        """Records keep it as JSON."""
        written = json.loads(self.condition.canonical())
        assert type(self.condition).model_validate(written) == self.condition

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        marks = marks_of(type(self.condition))
        marked = {name for name, mark in marks.items() if isinstance(mark, Mark)}
        assert not marked & self.condition.decides().keys()


def _all_within(clause: EvaluatedClause) -> Sequence[EvaluatedClause]:
    return [clause, *(one for part in clause.parts for one in _all_within(part))]
