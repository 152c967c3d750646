"""Which of a source's captions mixes may take, as far as the experiment alone says.

A source with `only` captions a part of the pool, and mixes must come out as with all of its
captions. So a caption is left out only where no rule can take it and no condition or cut-off can
depend on it, whatever it would say. Here it is found which rules of which mixes decide that, what
they read, and where nothing can be left out; `mixes.needed_images` decides the images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from recap_assets.specs.base import Spec
from recap_assets.specs.circles import Part, circles, reached
from recap_assets.specs.columns import USED, scorer_and_name
from recap_assets.specs.conditions import ConditionSpec, Cutoff
from recap_assets.specs.exports import ExportSpec
from recap_assets.specs.mixes import Mix, Rule, columns_read
from recap_assets.specs.prompts import TEXT_NAMES
from recap_assets.specs.references import Reference, listed
from recap_assets.specs.scorers import ScorerSpec
from recap_assets.specs.searches import Search
from recap_assets.specs.sources import RAW, SourceSpec
from recap_assets.specs.uses import use_of_source

ELSEWHERE = ("corpora", "models", "scorers", "image_scorers", "languages", "sets", "exports")
"""Sections whose parts read captions as they are: what names a source there reads all of it."""

OF_CONDITION = ""
"""The name, among those of mixes, of what the condition in `only` asks."""


class Whole(Protocol):
    """An experiment, as far as it is asked here."""

    @property
    def sources(self) -> Mapping[str, SourceSpec]:
        """The declared sources."""
        ...

    @property
    def source_names(self) -> Sequence[str]:
        """`raw` and the declared sources."""
        ...

    @property
    def scorers(self) -> Mapping[str, ScorerSpec]:
        """The scorers."""
        ...

    @property
    def mixes(self) -> Mapping[str, Mix]:
        """The mixes."""
        ...

    @property
    def exports(self) -> Mapping[str, ExportSpec]:
        """The exports."""
        ...

    @property
    def searches(self) -> Mapping[str, Search]:
        """The searches."""
        ...

    def scorer_of(self, mix: Mix) -> str:
        """The scorer whose scores decide a mix."""
        ...


@dataclass(frozen=True)
class Need:
    """What one mix may take of a source's captions.

    Attributes:
        mix: The mix.
        scorer: The scorer whose scores decide it.
        rules: Numbers of the rules that decide it, in their order.
        whole: Why the caption of every image is needed that exists for the mix; "" where the rules
            decide image by image.
    """

    mix: Mix
    scorer: str
    rules: tuple[int, ...]
    whole: str = ""


@dataclass(frozen=True)
class Columns:
    """What is read to decide which captions are needed, beside the pool.

    Attributes:
        texts: Sources whose captions are read.
        scores: Scorer and source of scores.
        images: Image scorers.
        sets: Sets.
    """

    texts: frozenset[str] = frozenset()
    scores: frozenset[tuple[str, str]] = frozenset()
    images: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()

    def __or__(self, other: "Columns") -> "Columns":
        """What either has."""
        return Columns(
            self.texts | other.texts,
            self.scores | other.scores,
            self.images | other.images,
            self.sets | other.sets,
        )


@dataclass(frozen=True)
class Needs:
    """What mixes may take of a source's captions.

    Attributes:
        source: The source.
        of_it: It and the sources whose texts are made of its captions: none is known beforehand.
        known: The sources that are: they do not wait for this one.
        names: All sources.
        mixes: What each mix may take; those that cannot take any are left out.
        asked: The condition in `only`, as that of the one rule of a mix; None for `used`.
        whole: Why nothing can be left out; "" where something may.
    """

    source: str
    of_it: frozenset[str]
    known: frozenset[str]
    names: tuple[str, ...]
    mixes: Mapping[str, Need] = field(default_factory=dict[str, Need])
    asked: Need | None = None
    whole: str = ""

    @property
    def all(self) -> Mapping[str, Need]:
        """What the mixes may take, and under `OF_CONDITION` what the condition asks."""
        return self.mixes if self.asked is None else {**self.mixes, OF_CONDITION: self.asked}

    def knows(self, column: str) -> bool:
        """Whether a score column can be read before the source has captions.

        What a use takes cannot: it may be the source's.
        """
        scorer, name = scorer_and_name(column)
        return name != USED and (name in self.known or (scorer is None and name not in self.names))

    def takes(self, rule: Rule) -> bool:
        """Whether a rule may use the source's captions, or texts that are made of them."""
        return not self.of_it.isdisjoint(rule.use.sources)

    def touches(self, rule: Rule, number: int) -> bool:
        """Whether a rule uses the source's captions or compares scores of them."""
        return any(scorer_and_name(column)[1] in self.of_it for column in rule.columns(number))

    def reads(self, need: Need) -> Columns:
        """What is read of other sources, scorers and sets to decide one need."""
        found = Columns()
        for number in need.rules if not need.whole else ():
            rule = need.mix.rules[number]
            if not self.takes(rule) and self.known.issuperset(rule.use.sources):
                found |= Columns(texts=frozenset(rule.use.sources))
            if rule.where is not None:
                found |= self._of_condition(need, rule.where, number)
        return found

    def _of_condition(self, need: Need, where: ConditionSpec, number: int) -> Columns:
        found = Columns(sets=frozenset(r.name for r in where.refers() if r.section == "sets"))
        for column in where.reads(need.mix.rules[number].place(number)):
            scorer, name = scorer_and_name(column)
            if not self.knows(column):
                continue
            if name not in self.names:
                found |= Columns(images=frozenset({name}))
                continue
            texts = frozenset({name} if scorer is None else ())
            found |= Columns(texts, frozenset({(scorer or need.scorer, name)}))
        return found


def needs_of(whole: Whole, source: str) -> Needs | None:
    """What mixes may take of the captions of a source; None where it captions all of the pool.

    Raises:
        ValueError: A condition does not say which score it means.
    """
    only = whole.sources[source].captions_only
    if only is None:
        return None
    of_it = _made_of(whole, source)
    found = Needs(source, of_it, _known(whole, source, of_it), tuple(whole.source_names))
    mixes = {name: _need(whole, found, name, mix) for name, mix in whole.mixes.items()}
    needed = {name: one for name, one in mixes.items() if one is not None}
    asked = _asked(whole, source, only) if isinstance(only, ConditionSpec) else None
    known = found.known if asked is None else frozenset(whole.source_names) - of_it
    reasons = [*_read_elsewhere(whole, source, of_it), *_searched(whole, needed), *_ranking(needed)]
    why = next(iter(reasons), "")
    return Needs(source, of_it, known, found.names, needed, asked, why)


def partly_captioned(whole: Whole, source: str) -> Needs | None:
    """What mixes may take of a source of whose captions some are left out; None for any other."""
    needs = needs_of(whole, source)
    return None if needs is None or needs.whole else needs


def _asked(whole: Whole, source: str, only: ConditionSpec) -> Need:
    rule = Rule(use=use_of_source(source), where=only)
    return Need(Mix(rules=(rule,)), next(iter(whole.scorers)), (0,))


def _made_of(whole: Whole, source: str) -> frozenset[str]:
    """A source and those whose texts of an image are made of its captions."""
    reads = {
        name: [one.name for one in _of_sources(part) if not is_of_only(one)]
        for name, part in whole.sources.items()
    }
    return frozenset(name for name in whole.sources if source in reached(reads, name))


def _known(whole: Whole, source: str, of_it: frozenset[str]) -> frozenset[str]:
    """The sources that can be there before the source is.

    Of two with `only` the first in the file does not wait for the second.
    """
    order = list(whole.sources)
    later = {n for n in order[order.index(source) :] if whole.sources[n].captions_only is not None}
    reads = {name: [one.name for one in _of_sources(part)] for name, part in whole.sources.items()}
    return frozenset(
        name
        for name in whole.source_names
        if name not in of_it and later.isdisjoint(reached(reads, name))
    )


def _of_sources(part: Spec) -> Iterator[Reference]:
    return (one for one in part.refers() if one.section in ("source_names", TEXT_NAMES))


def is_of_only(one: Reference) -> bool:
    """Whether a source names something in the condition of its `only`."""
    return one.field.partition(".")[0] == "only"


def _need(whole: Whole, needs: Needs, name: str, mix: Mix) -> Need | None:
    """What a mix may take; None where it cannot take or look at any caption of the source."""
    touching = [i for i, rule in enumerate(mix.rules) if needs.touches(rule, i)]
    of_copies = mix.copies is not None and scorer_and_name(mix.copies.of)[1] in needs.of_it
    if not touching and not of_copies:
        return None
    last = max(touching, default=-1)
    rules = range(last + 1) if mix.combine == "first" else touching
    scorer = whole.scorer_of(mix)
    why = next((f"mixes.{name}.{why}" for why in _whole(whole, needs, mix, scorer)), "")
    return Need(mix, scorer, tuple(rules), why)


def _whole(whole: Whole, needs: Needs, mix: Mix, scorer: str) -> Iterator[str]:
    """Why all captions decide a mix, beginning with where it says so."""
    for number, rule in enumerate(mix.rules):
        for one in () if rule.where is None else rule.where.needs(rule.place(number)):
            if one.kind != "absolute" and _ranks(needs, rule, one):
                yield f"{one.path} ranks the scores of {one.source} over the whole pool"
    if mix.copies is not None and scorer_and_name(mix.copies.of)[1] in needs.of_it:
        yield f"copies.of: the scores of {mix.copies.of} decide the copies of any pair"
    columns = [scorer_and_name(column) for column in columns_read(mix)]
    by = [of or scorer for of, name in columns if name in needs.of_it]
    for one in dict.fromkeys(by):
        if not whole.scorers[one].of_pair_alone:
            yield f"scorer: a score by {one} depends on the other texts that are scored"


def _ranks(needs: Needs, rule: Rule, one: Cutoff) -> bool:
    name = scorer_and_name(one.source)[1]
    return needs.takes(rule) if name == USED else name in needs.of_it


def _read_elsewhere(whole: Whole, source: str, of_it: frozenset[str]) -> Iterator[str]:
    """What reads the captions beside mixes, and so reads all of them."""
    for section in ELSEWHERE:
        parts: Mapping[str, Spec] = getattr(whole, section)
        for name, part in parts.items():
            named = [one.name for one in _of_sources(part)]
            if isinstance(part, ExportSpec):
                named += part.sources_along(whole.source_names)
            if read := sorted(of_it.intersection(named)):
                yield f"{section}.{name} reads the captions of {listed(read)}"
    for name, part in whole.sources.items():
        named = {one.name for one in _of_sources(part) if is_of_only(one)}
        if name not in of_it and (read := sorted(of_it & named)):
            yield f"sources.{name}.only reads the scores of {listed(read)}"
        if name in of_it and name != source and not _is_of_image_alone(whole, part):
            yield f"the texts of sources.{name} depend on the captions of other images"


def _is_of_image_alone(whole: Whole, part: SourceSpec) -> bool:
    scorers = [one.name for one in part.refers() if one.section == "scorers"]
    return part.of_image_alone and all(whole.scorers[one].of_pair_alone for one in scorers)


def _searched(whole: Whole, needed: Mapping[str, Need]) -> Iterator[str]:
    for name, search in whole.searches.items():
        if search.mix in needed:
            yield f"searches.{name} tries other settings of mixes.{search.mix}"


def _ranking(needed: Mapping[str, Need]) -> Iterator[str]:
    """Mixes of the whole pool that all captions decide."""
    for need in needed.values():
        if need.whole and (need.mix.within is None or need.mix.within.fraction == 1):
            yield need.whole


def problems_of_only(
    whole: Whole, named_by: Callable[[str, str], Iterator[Part]], order: Sequence[str]
) -> Iterator[str]:
    """What is wrong with `only`, in an experiment whose names are all known.

    Args:
        whole: The experiment.
        named_by: What a part names, of a section and its name.
        order: Sections, as `circles` takes them.
    """
    found: dict[str, Needs] = {}
    for name in whole.sources:
        if (needs := needs_of(whole, name)) is not None:
            found[name] = needs
    problems = [one for name, needs in found.items() for one in _wrong(whole, name, needs)]
    yield from problems or _waiting_in_circles(whole, found, named_by, order)


def _waiting_in_circles(
    whole: Whole,
    found: Mapping[str, Needs],
    named_by: Callable[[str, str], Iterator[Part]],
    order: Sequence[str],
) -> Iterator[str]:
    names = [(section, name) for section in order for name in getattr(whole, section)]
    reads = {at: [to for to in named_by(*at) if to in names] for at in names}
    for name, needs in found.items():
        read = [] if needs.whole else [to for to in _parts_read(needs) if to in names]
        reads["sources", name] = [*reads["sources", name], *read]
    for circle in circles(reads, order):
        if any(section == "sources" and name in found for section, name in circle):
            path = " → ".join(f"{section}.{name}" for section, name in (*circle, circle[0]))
            at = next(name for section, name in circle if section == "sources" and name in found)
            yield f"sources.{at}.only: which captions there are would depend on them: {path}"


def _wrong(whole: Whole, name: str, needs: Needs) -> Iterator[str]:
    if needs.asked is None:
        return
    rule = needs.asked.mix.rules[0]
    columns = list(rule.where.reads(rule.place(0))) if rule.where is not None else []
    for column in dict.fromkeys(columns):
        scorer, of = scorer_and_name(column)
        if of in needs.of_it or of == USED:
            path = [name] if of in (USED, name) else [name, of]
            way = " → ".join(f"sources.{one}" for one in (*path, name))
            yield (
                f"sources.{name}.only: {column} is a score of the captions that it decides about: "
                f"{way}; name another one's, as `of: {RAW}`"
            )
        elif scorer is None and of in needs.names and len(whole.scorers) > 1:
            known = listed(f"{one}.{of}" for one in whole.scorers)
            yield f"sources.{name}.only: whose score of {of} is meant? Name one of {known}"
    if why := needs.whole or next((one.whole for one in needs.mixes.values() if one.whole), ""):
        yield (
            f"sources.{name}.only: {why}, and a part of them gives another result: write "
            f"`only: used`, which leaves out none that can matter, or no `only`"
        )


def _parts_read(needs: Needs) -> Iterator[Part]:
    """The parts of the experiment that are read to decide which captions are needed."""
    for need in needs.all.values():
        read = needs.reads(need)
        yield from (("sources", name) for name in sorted(read.texts))
        for scorer, name in sorted(read.scores):
            yield from (("scorers", scorer), ("sources", name))
        yield from (("image_scorers", name) for name in sorted(read.images))
        yield from (("sets", name) for name in sorted(read.sets))
