"""Writes tiny sets in the formats of DataComp's special tasks."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recap_assets_tests.evaluation.sets_on_disk import Members, png, write_tar

TEMPLATES = "a photo of a {c}.\n{c}\n"


def npy(values: Sequence[float], dtype: str = "<i8") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(values, dtype=dtype))
    return buffer.getvalue()


def grouped(key: str, label: int, metadata: Sequence[float], value: int) -> Members:
    return [
        (f"{key}.png", png(value)),
        (f"{key}.cls", str(label).encode()),
        (f"{key}.npy", npy(metadata)),
    ]


def write_grouped(
    folder: Path,
    samples: Sequence[tuple[int, Sequence[float]]],
    classes: Sequence[str],
    templates: str = TEMPLATES,
) -> Path:
    """Samples (label, metadata) in two shards, as DataComp publishes WILDS and the like."""
    members = [grouped(f"s{i:07}", *sample, value=i) for i, sample in enumerate(samples)]
    half = len(members) // 2
    for number, part in enumerate((members[:half], members[half:])):
        write_tar(folder / "test" / f"{number}.tar", [m for sample in part for m in sample])
    (folder / "test" / "nshards.txt").write_text("2")
    (folder / "classnames.txt").write_text("\n".join(classes) + "\n")
    (folder / "zeroshot_classification_templates.txt").write_text(templates)
    return folder


def _image(value: int) -> dict[str, object]:
    return {"bytes": png(value), "path": f"{value}.png"}


_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def association_rows(rng: np.random.Generator, sizes: Sequence[int]) -> list[dict[str, object]]:
    """Rows of WinoGAViL: as many candidates as `sizes` say, two or three of them associated."""
    rows = []
    for number, size in enumerate(sizes):
        names = [f"thing{number}_{i}" for i in range(size)]
        n_right = int(rng.integers(2, 4))
        rows.append(
            {
                "candidates": names,
                "cue": ("werewolf", "Owl", "ice")[number % 3] + str(number),
                "associations": sorted(rng.choice(names, n_right, replace=False).tolist()),
                "candidate_images": [_image((17 * number + 5 * i) % 256) for i in range(size)],
            }
        )
    return rows


def write_arrow(path: Path, rows: Sequence[dict[str, object]], at_once: int = 3) -> None:
    """An Arrow stream in several batches, as `datasets` caches a split."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = []
    for name, value in rows[0].items():
        if name == "candidate_images":
            fields.append(pa.field(name, pa.list_(_IMAGE)))
        elif name == "image":
            fields.append(pa.field(name, _IMAGE))
        else:
            fields.append(pa.field(name, pa.array([value]).type))
    schema = pa.schema(fields, metadata={"huggingface": '{"info": {}}'})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            writer.write_batch(pa.RecordBatch.from_pylist(list(part), schema=schema))


def write_parquet(path: Path, rows: Sequence[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def captioned_row(value: int, captions: Sequence[str]) -> dict[str, object]:
    return {"image": _image(value), "caption": list(captions), "img_id": value}


def write_association_cache(root: Path, rows: Sequence[dict[str, object]]) -> Path:
    """WinoGAViL where DataComp's download script leaves it."""
    folder = root / "hf_cache" / "nlphuji___winogavil"
    write_arrow(folder / "TEST" / "1.1.0" / "0f3a" / "winogavil-test.arrow", rows)
    return folder
