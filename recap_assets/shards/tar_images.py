"""The encoded images of tar shards, at most 64 of which are open."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from recap_assets.shards.files import RangeFile, open_range_file
from recap_assets.shards.manifest import Shard
from recap_assets.shards.pools import ImagePlace

MAX_OPEN_SHARDS = 64


class TarImages:
    """Images by their places in tars: local ones or in an object store."""

    def __init__(self, shards: Mapping[int, Shard], *, strict: bool) -> None:
        self._shards, self._strict = shards, strict
        self._open: OrderedDict[int, RangeFile] = OrderedDict()

    def fetch(self, shard: int, places: Sequence[ImagePlace]) -> Sequence[bytes | None]:
        """The bytes at each place of one tar; without `strict` None where it cannot be read."""
        try:
            file = self._file(shard)
            return file.read_many([(place.offset, place.size) for place in places])
        except (OSError, KeyError):
            if self._strict:
                raise
            return [None] * len(places)

    def close(self) -> None:
        """Close the tars."""
        while self._open:
            self._open.popitem()[1].close()

    def _file(self, number: int) -> RangeFile:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        if len(self._open) >= MAX_OPEN_SHARDS:
            self._open.popitem(last=False)[1].close()
        self._open[number] = open_range_file(self._shards[number].url)
        return self._open[number]
