"""Random mixes over the sources raw, a and b."""

from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Scores:
    """Score columns that may be compared.

    Attributes:
        known: Those of the pool's own texts and images.
        others: Further ones.
        ranks: A scorer that a use may choose by, whose scores are around 10.
    """

    known: tuple[str, ...]
    others: tuple[str, ...]
    ranks: str


class Drawn:
    """Mixes with all uses and conditions, and a set `some`."""

    def __init__(self, seed: int, scores: Scores) -> None:
        self.draw = Random(seed)  # noqa: S311 - no secret
        self.scores = scores

    def mix(self) -> dict[str, Any]:
        draw, several = self.draw, self.draw.random() < 0.25
        found: dict[str, Any] = {"rules": [self.rule() for _ in range(draw.randint(1, 4))]}
        if several:
            found["combine"] = "all"
        if draw.random() < 0.25:
            found["within"] = {"fraction": draw.choice([0.3, 0.6]), "seed": 2}
        plain = not several and all(
            "each" not in rule["use"] and rule["candidates"] == 1 for rule in found["rules"]
        )
        if plain and draw.random() < 0.3:
            of = draw.choice(["used", f"{self.scores.ranks}.used", "raw"])
            found["copies"] = {"of": of, "size": 3, "cap": 3}
        return found

    def rule(self) -> dict[str, Any]:
        use, rule = self.use(), {}
        if self.draw.random() < 0.8:
            rule["where"] = self.condition(2)
        one = 1 if "join" in use else self.draw.choice([1, 1, 2, "all"])
        return {"use": use, "candidates": one, "weight": self.draw.choice([1.0, 2.0]), **rule}

    def use(self) -> Any:
        draw = self.draw
        if draw.random() < 0.5:
            return draw.choice(["raw", "raw", "a", "b"])
        names = draw.sample(["raw", "a", "b"], draw.choice([2, 2, 3]))
        weights = {name: draw.choice([0.5, 1.0, 3.0]) for name in names}
        drawn = {"random_of": weights, "seed": draw.randint(0, 9)}
        best = {"best_of": names}
        by = {**best, "scorer": self.scores.ranks}
        return draw.choice([best, by, {"join": names}, {"each": weights}, drawn, drawn])

    def condition(self, depth: int) -> dict[str, Any]:
        draw = self.draw
        if depth and draw.random() < 0.5:
            kind = draw.choice(["all", "any", "without"])
            if kind == "without":
                return {"without": self.condition(depth - 1)}
            return {kind: [self.condition(depth - 1) for _ in range(2)]}
        return self.leaf()

    def leaf(self) -> dict[str, Any]:
        draw, known = self.draw, self.scores.known
        of = draw.choice([*known, *known, *self.scores.others])
        # One in many ranks the whole of a source, which then is captioned whole.
        ranked = of if of in known or draw.random() < 0.05 else "raw"
        number = draw.choice([3, 9] if self.scores.ranks in of else [0.3, 0.9])
        return draw.choice([
            {"top": draw.choice([0.2, 0.5]), "of": ranked}, {"best": 20, "of": ranked},
            {"in_set": "some"}, {"at_least": number, "of": of},
            {"at_least": {"top": 0.4, "of": "raw"}, "of": of},
        ])  # fmt: skip
