"""The files that DataComp's resharder leaves beside its tars, so that its scripts take ours."""

import json
from collections.abc import Sequence

from recap_assets.exports.runs import Run
from recap_assets.exports.shards import ShardRecord, joined
from recap_assets.storage.folders import Folder, WrittenFile

SHARD_FORMAT = "{:08d}.tar"
STATS_FORMAT = "{:08d}_stats.json"
SIZES = "sizes.json"
META = "meta.json"
SAMPLE_IDS = "sample_ids.npy"


def sizes_json(records: Sequence[ShardRecord]) -> bytes:
    """Samples by tar: what the resharder and open_clip read a dataset's size from."""
    sizes = {record.shard.rpartition("/")[2]: record.successes for record in records}
    return json.dumps(sizes).encode()


def meta_json(records: Sequence[ShardRecord], n_planned: int, shard_size: int) -> bytes:
    """The resharder's `meta.json`: its settings as strings, then what it did as numbers.

    DataComp's train.py reads `output_shard_count` and `output_shard_format` of every folder below
    its `--data_dir`. What names a place on this machine is left empty.
    """
    settings = {
        "input_dir": "", "output_dir": "", "subset_file": SAMPLE_IDS, "num_shards": None,
        "first_shard": 0, "num_workers": 1, "shard_size": shard_size,
        "shard_format": SHARD_FORMAT, "output_shard_format": SHARD_FORMAT,
        "shard_stats_format": STATS_FORMAT, "output_shard_stats_format": STATS_FORMAT,
        "shard_table": SIZES, "write_shard_table": True, "shuffle_bufsize": 0,
        "blur_metadata_map": None, "apply_blur": False, "inject_blur_metadata": False,
        "reencode_webp_quality": 100, "dry_run": False, "overwrite": False, "verbose": None,
        "quiet": None,
    }  # fmt: skip
    done = {
        "processed_count": n_planned,
        "output_count": sum(record.successes for record in records),
        "blur_count": 0,
        "blur_time": 0,
        "output_shard_count": len(records),
        "worker_success": 1,
        "cwd": "",
    }
    return json.dumps({name: str(value) for name, value in settings.items()} | done).encode()


def write_beside(folder: Folder, run: Run, shard_size: int) -> list[WrittenFile]:
    """Write these files beside the shards of one folder."""
    names = {name: joined(run.below, name) for name in (SIZES, META, SAMPLE_IDS)}
    with folder.writing(names[SAMPLE_IDS]) as file:
        run.uids.write(file)
    meta = meta_json(run.records, run.n_planned, shard_size)
    return [
        file.written(names[SAMPLE_IDS]),
        folder.write(names[SIZES], sizes_json(run.records)),
        folder.write(names[META], meta),
    ]
