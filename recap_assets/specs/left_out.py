"""Leave one source out: a mix again without the captions of each of its sources.

Taking a source out of a mix takes its captions out of what is trained on, and nothing else:

- A rule that uses the source alone goes; its images go on to the rules after it.
- `best_of`, `random_of`, `join` and `each` go on with the sources that remain, and a single one is
  used as it is. Weights and the shares of a draw stay as written. A use of another package says
  itself what is left of it.
- Conditions stay, those on the source's score too: they say which images are taken, and a caption
  has a score whether or not it is trained on.
"""

from collections.abc import Iterator, Mapping

from pydantic import TypeAdapter, ValidationError

from recap_assets.specs.base import Name
from recap_assets.specs.mixes import Mix, Rule

_A_NAME: TypeAdapter[str] = TypeAdapter(Name)


def left_out_name(mix: str, source: str) -> str:
    """The name of a mix without one of its sources."""
    return f"{mix}_without_{source}"


def captions_used(mix: Mix) -> tuple[str, ...]:
    """The sources whose captions the mix trains on, in order of appearance."""
    return tuple(dict.fromkeys(name for rule in mix.rules for name in rule.use.sources))


def with_left_out(mixes: Mapping[str, Mix]) -> dict[str, Mix]:
    """The mixes, and behind them those that `leave_one_source_out` adds.

    A mix that is there already under the name is taken for the added one if it selects the same.

    Raises:
        ValueError: A mix has a single source, or a name is too long or taken by another mix.
    """
    found = dict(mixes)
    for name, mix in mixes.items():
        sources = captions_used(mix) if mix.leave_one_source_out else ()
        if len(sources) == 1:
            msg = f"{name}.leave_one_source_out: nothing is left of it without {sources[0]}"
            raise ValueError(msg)
        for source in sources:
            added, other = left_out_name(name, source), without_source(name, mix, source)
            _refuse_bad_name(name, added)
            if _selecting(found.setdefault(added, other)) != _selecting(other):
                msg = f"{name}.leave_one_source_out: there is another mix {added}; rename one"
                raise ValueError(msg)
    return found


def without_source(name: str, mix: Mix, source: str) -> Mix:
    """The mix without the captions of one of its several sources; `name` is for its description."""
    return mix.model_copy(
        update={
            "rules": tuple(rule for old in mix.rules for rule in _rules_without(old, source)),
            "description": f"{name} without the captions of {source}",
            "leave_one_source_out": False,
        }
    )


def _selecting(mix: Mix) -> Mix:
    return mix.at_default("description", "leave_one_source_out")


def _refuse_bad_name(mix: str, added: str) -> None:
    try:
        _A_NAME.validate_python(added)
    except ValidationError as error:
        msg = f"{mix}.leave_one_source_out: {added} is no name: it has {len(added)} characters"
        raise ValueError(f"{msg}, at most 64 are allowed; shorten the mix's name") from error


def _rules_without(rule: Rule, source: str) -> Iterator[Rule]:
    use = rule.use.without(source)
    if use is not None:
        # A pair keeps the weight that it has: of one pair of `each`, the rule's times its own.
        only = use.sources[0] if len(use.sources) == 1 else None
        own = 1.0 if only is None else rule.use.share(only) / use.share(only)
        yield rule.model_copy(update={"use": use, "weight": rule.weight * own})
