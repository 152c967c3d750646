"""Small slices of the real pools and evaluation sets, in the layout that the whole ones have."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

POOLS = {"webalt": 12, "flickr8k_web": 25}
"""Of each pool's first shard, one sample in so many is taken."""
PER_POOL = 20
SETS = {"fine": ("cifar10", 30), "retrieval": ("coco_mini", 5)}
"""By task: the evaluation set, and one sample in so many."""


def samples_of(tar: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """Key and members of each sample, by their endings, in order."""
    key, members = "", dict[str, bytes]()
    with tarfile.open(tar) as file:
        for member in file:
            stem, ending = member.name.split(".", 1)
            if stem != key and members:
                yield key, members
                members = {}
            key = stem
            content = file.extractfile(member)
            assert content is not None
            members[ending] = content.read()
    yield key, members


def write_samples(tar: Path, samples: Mapping[str, Mapping[str, bytes]]) -> None:
    """Write samples as they were read."""
    tar.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(tar, "w") as file:
        for key, members in samples.items():
            for ending, content in members.items():
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))


def write_pool(shared: Path, folder: Path) -> dict[str, Mapping[str, bytes]]:
    """A shard of some samples of each real pool; the samples, by the uid that their json says."""
    found: dict[str, Mapping[str, bytes]] = {}
    for number, (pool, step) in enumerate(POOLS.items()):
        every = samples_of(shared / "pools" / pool / "shards" / "00000000.tar")
        taken = dict([one for i, one in enumerate(every) if i % step == 0][:PER_POOL])
        write_samples(folder / f"{number:08d}.tar", taken)
        found |= {json.loads(one["json"])["uid"]: one for one in taken.values()}
    return found


def write_sets(shared: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Tasks of some samples of real evaluation sets, as an experiment names them."""
    tasks = {}
    for task, (name, step) in SETS.items():
        whole, part = shared / "eval" / name, folder / name
        ignored = shutil.ignore_patterns("*.tar")
        shutil.copytree(whole, part, ignore=ignored, copy_function=shutil.copyfile)
        every = enumerate(samples_of(whole / "test" / "0.tar"))
        write_samples(part / "test" / "0.tar", dict(one for i, one in every if i % step == 0))
        tasks[task] = {"kind": "webdataset", "path": str(part)}
    return tasks
