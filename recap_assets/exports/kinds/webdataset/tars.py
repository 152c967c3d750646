"""A shard as a tar: written a member at a time, the same bytes for the same samples."""

from collections.abc import Iterator, Mapping
from typing import cast

from recap_assets.exports.samples import Sample, told_as_json
from recap_assets.exports.tars import add_members, end_of_tar
from recap_assets.storage.folders import Folder, WrittenFile


class Tars:
    """`00000012.tar` with `.jpg`, `.json`, `.txt`, and `00000012_stats.json` beside it.

    Equal samples give equal bytes: times are 0, modes and owners fixed.
    """

    with_images = True
    options: Mapping[str, object] = {}

    def record_name(self, number: int) -> str:
        """DataComp's name; a tar without this file is not complete."""
        return f"{number:08d}_stats.json"

    def shard_name(self, number: int) -> str:
        """DataComp's name: eight digits."""
        return f"{number:08d}.tar"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write one tar, a sample at a time."""
        name = self.shard_name(number)
        with folder.writing(name) as file:
            for sample in samples:
                key, members = sample.key, self.members(sample)
                add_members(file, {f"{key}.{kind}": members[kind] for kind in sorted(members)})
            file.write(end_of_tar(file.n_bytes))
        return [file.written(name)]

    def members(self, sample: Sample) -> Mapping[str, bytes]:
        """The files of a sample, by their endings."""
        return {
            sample.extension: cast(bytes, sample.image),
            "json": told_as_json(sample.row),
            "txt": sample.row["text"].encode(),
        }
