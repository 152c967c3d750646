"""Named sets of uids, for `in_set` in mixes: what all kinds of them have.

What is cut off by score alone needs no set: `top` and `at_least` of a mix are DataComp's clip_score
filter, `all` its intersection.
"""

from collections.abc import Iterator
from typing import Annotated

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf


class SetSpec(Spec):
    """Which samples a mix may choose from; a kind is below `sets.kind.SetKind`."""

    def metadata_columns(self) -> Iterator[tuple[str, str]]:
        """The columns of the pool's metadata that it reads, each after the field that names it."""
        yield from ()


UidSet = Annotated[SetSpec, OneOf("sets")]
