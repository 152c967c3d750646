"""Which texts of its group an image has, and in which order."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import polars as pl

ByUid = Mapping[bytes, Sequence[str]]


def shared_texts(
    uids: Iterable[bytes], members: pl.DataFrame, texts: pl.DataFrame, keep: int, *, by_score: bool
) -> list[list[str]]:
    """The texts of each image, each text once, at most `keep`.

    Args:
        uids: The images.
        members: `uid` and `group` of all images of their groups, each uid once.
        texts: `uid`, `candidate`, `text`, `score` of these images, in any order.
        keep: Texts of an image.
        by_score: Whether the highest score of a group comes first, ties by uid and candidate, and a
            text without a score last; else an image's own do, then those of the next by uid, in a
            ring.
    """
    group_of = dict(members.select("uid", "group").iter_rows())
    grouped = texts.join(members.select("uid", "group"), on="uid")
    if by_score:
        ranked = _by_score(grouped)
        return [_first(ranked.get(group_of.get(uid), ()), keep) for uid in uids]
    own = _own(grouped)
    rings = {group: sorted(uids) for group, uids in _uids_by_group(members).items()}
    places = {uid: place for ring in rings.values() for place, uid in enumerate(ring)}
    return [
        _first(_around(rings[group_of[uid]], places[uid], own), keep) if uid in places else []
        for uid in uids
    ]


def _by_score(grouped: pl.DataFrame) -> Mapping[str | None, Sequence[str]]:
    order = grouped.sort(
        "score", "uid", "candidate", descending=[True, False, False], nulls_last=True
    )
    found: defaultdict[str | None, list[str]] = defaultdict(list)
    for group, text in order.select("group", "text").iter_rows():
        found[group].append(text)
    return found


def _own(grouped: pl.DataFrame) -> ByUid:
    found: defaultdict[bytes, list[str]] = defaultdict(list)
    for uid, text in grouped.sort("uid", "candidate").select("uid", "text").iter_rows():
        found[uid].append(text)
    return found


def _uids_by_group(members: pl.DataFrame) -> Mapping[str, list[bytes]]:
    found: defaultdict[str, list[bytes]] = defaultdict(list)
    for group, uid in members.select("group", "uid").iter_rows():
        found[group].append(uid)
    return found


def _around(ring: Sequence[bytes], start: int, own: ByUid) -> Iterator[str]:
    for uid in chain(ring[start:], ring[:start]):
        yield from own.get(uid, ())


def _first(texts: Iterable[str], keep: int) -> list[str]:
    found: dict[str, None] = {}
    for text in texts:
        found[text] = None
        if len(found) == keep:
            break
    return list(found)
