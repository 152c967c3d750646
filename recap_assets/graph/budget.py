"""Budgets of a build: what may be spent, and the meter that stops a partition before it is more.

A partition that is computed shard by shard stops between two shards: what is finished is kept, and
the next build goes on there. Anything else is started only where it is expected to fit.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from recap_assets.untrusted.errors import RecapError

STOPPED = "the budget is spent"
"""Begins the words of a step that stopped for it."""

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)(gpu-h|h|min|captions|[a-z]{3})")
_HOUR = 3_600.0


class BudgetError(RecapError, ValueError):
    """What is written as a budget is none."""


class OutOfBudgetError(RecapError, RuntimeError):
    """What comes next would exceed the budget."""


@dataclass(frozen=True)
class Spent:
    """What was spent, or is expected to be.

    Attributes:
        gpu_seconds: Seconds in which a GPU was held.
        money: At the prices of the file.
        captions: Captions that were written.
    """

    gpu_seconds: float = 0.0
    money: float = 0.0
    captions: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.gpu_seconds + other.gpu_seconds,
            self.money + other.money,
            self.captions + other.captions,
        )


@dataclass(frozen=True)
class Budget:
    """Bounds of what a build may spend; None where there is none.

    Attributes:
        until: When it has to be through, in seconds since 1970.
        gpu_seconds: Seconds in which a GPU is held.
        money: At the prices of the file.
        captions: Captions that are written.
        currency: What the user calls the money.
    """

    until: float | None = None
    gpu_seconds: float | None = None
    money: float | None = None
    captions: float | None = None
    currency: str = ""

    @property
    def is_endless(self) -> bool:
        """Whether anything may be spent."""
        bounds = (self.until, self.gpu_seconds, self.money, self.captions)
        return all(bound is None for bound in bounds)

    def allows(self, spent: Spent, at: float = 0.0) -> bool:
        """Whether so much may be spent, and things be through at a time."""
        bounds = (
            (self.until, at),
            (self.gpu_seconds, spent.gpu_seconds),
            (self.money, spent.money),
            (self.captions, spent.captions),
        )
        return all(bound is None or value <= bound for bound, value in bounds)

    def without(self, spent: Spent) -> "Budget":
        """What is left of it."""

        def left(bound: float | None, value: float) -> float | None:
            return None if bound is None else max(bound - value, 0.0)

        return replace(
            self,
            gpu_seconds=left(self.gpu_seconds, spent.gpu_seconds),
            money=left(self.money, spent.money),
            captions=left(self.captions, spent.captions),
        )


def read_budget(written: Iterable[str], now: float) -> Budget:
    """A budget as a user writes it: `20h`, `30min`, `5gpu-h`, `50usd`, `1000000captions`.

    Args:
        written: One bound or several, each of another sort.
        now: When the build begins, in seconds since 1970.

    Raises:
        BudgetError: One is none of these, or two are of one sort.
    """
    found: dict[str, float] = {}
    currency = ""
    for text in written:
        match = _WRITTEN.fullmatch(text.strip().lower())
        number = float(match[1]) if match else 0.0
        if match is None or not 0 < number < 1e15:
            msg = f"--budget {text}: write 20h, 30min, 5gpu-h, 50usd or 1000000captions"
            raise BudgetError(msg)
        unit = match[2]
        name, value = {
            "h": ("until", now + number * _HOUR),
            "min": ("until", now + number * 60),
            "gpu-h": ("gpu_seconds", number * _HOUR),
            "captions": ("captions", number),
        }.get(unit, ("money", number))
        currency = unit if name == "money" else currency
        if name in found:
            msg = f"--budget {text}: there is a bound of this sort already"
            raise BudgetError(msg)
        found[name] = value
    return Budget(**found, currency=currency)


@dataclass(frozen=True)
class Rate:
    """What an image is expected to take.

    Attributes:
        seconds: Time.
        captions: Captions.
        money: Tokens, at the prices of the file.
    """

    seconds: float = 0.0
    captions: float = 0.0
    money: float = 0.0


TokenMoney = Callable[[int, int], float]
"""What tokens cost, asked and answered."""


@dataclass
class Meter:
    """What a run has spent, and may; without bounds it only counts.

    Attributes:
        left: What it may spend.
        rates: What an image is expected to take before any was measured, by asset.
        per_hour: Price of an hour on what computes.
        on_gpu: Whether what computes holds a GPU.
        tokens: What tokens cost.
        clock: The time, in seconds since 1970.
        settled: What was spent on partitions that are through.
        current: What was spent on the present one.
    """

    left: Budget = field(default_factory=Budget)
    rates: Mapping[str, Rate] = field(default_factory=dict[str, Rate])
    per_hour: float = 0.0
    on_gpu: bool = False
    tokens: TokenMoney = lambda _prompt, _completion: 0.0
    clock: Callable[[], float] = time.time
    settled: Spent = field(default_factory=Spent)
    current: Spent = field(default_factory=Spent)
    _measured: dict[str, Rate] = field(default_factory=dict[str, Rate])

    @property
    def spent(self) -> Spent:
        """What was spent in all."""
        return self.settled + self.current

    def rate_of(self, asset: str) -> Rate:
        """What an image is expected to take: as it was measured, or else what was given."""
        return self._measured.get(asset) or self.rates.get(asset) or Rate()

    def before(self, asset: str, n_images: int) -> None:
        """See that some more images fit into what is left.

        Raises:
            OutOfBudgetError: They do not.
        """
        rate = self.rate_of(asset)
        seconds = rate.seconds * n_images
        expected = Spent(
            seconds if self.on_gpu else 0.0,
            seconds * self.per_hour / _HOUR + rate.money * n_images,
            round(rate.captions * n_images),
        )
        if not self.left.allows(self.spent + expected, self.clock() + seconds):
            msg = f"{STOPPED}: {n_images:,} more images of {asset} would exceed it"
            raise OutOfBudgetError(msg)

    def after(
        self, asset: str, n_images: int, seconds: float, took: Mapping[str, float], captions: int
    ) -> None:
        """Count what some images took.

        Args:
            asset: What was computed.
            n_images: How many.
            seconds: What that took.
            took: Tokens, by the names in `graph.reuse.TOOK`.
            captions: Rows, where they are captions.
        """
        prompt, completion = (int(took.get(f"{one}_tokens", 0)) for one in ("prompt", "completion"))
        tokens = self.tokens(prompt, completion)
        money = seconds * self.per_hour / _HOUR + tokens
        self.current += Spent(seconds if self.on_gpu else 0.0, money, captions)
        if n_images:
            self._measured[asset] = Rate(seconds / n_images, captions / n_images, tokens / n_images)

    def settle(self, gpu_seconds: float, money: float, captions: int) -> None:
        """End a partition: with what it took in all in place of what its shards did."""
        self.settled += Spent(gpu_seconds, money, captions)
        self.current = Spent()


METER: ContextVar[Meter | None] = ContextVar("METER", default=None)
"""The meter of the run that is at work; None where nothing bounds it."""


def present_meter() -> Meter:
    """The meter of the run that is at work, or one that only counts."""
    return METER.get() or Meter()
