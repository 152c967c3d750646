"""A small CLIP that is trained here is above chance where it must be, and at chance where not."""

from functools import partial
from pathlib import Path

import pytest

from recap_assets.engines.protocols import Scorer
from recap_assets.engines.small.loading import load_small_clip
from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evaluation.kinds.bags import BagsTask
from recap_assets.evaluation.kinds.embedded import EmbeddedTask
from recap_assets.evaluation.kinds.neighbours import NeighboursTask
from recap_assets.evaluation.zero_shot import measured
from recap_assets.graph.building import build_partition
from recap_assets.shards.images import decode
from recap_assets.specs.pool import ImageLimits
from recap_assets.world.writing import write_task
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

pytestmark = pytest.mark.long(reason="trains a CLIP on 12,000 captioned images")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    broad = {"kind": "embedded", "style": "broad", "samples": 2000, "captions_per_image": 2}
    pairs = EXPERIMENT["corpora"]["pairs"]
    models = {
        **EXPERIMENT["models"],
        "scorer": {"kind": "clip", "corpus": "broad", "samples_seen": 12_000},
    }
    experiment = tiny_experiment(corpora={"broad": broad, "pairs": pairs}, models=models)
    bench = Bench(tmp_path_factory.mktemp("trained"), experiment)
    for key in ("embedded_world/corpora/broad", "models/scorer"):
        node = bench.graph.nodes[key]
        bench.memory.keep(node, "", build_partition(bench.graph, bench.memory, node, ""))
    return load_small_clip(bench.project.workspace.models / "scorer", 128)


def drawn(folder: Path, task: str, samples: int) -> EvaluationSet:
    write_task(folder / task, 3, task, samples)
    made = EmbeddedTask(kind="embedded", task=task)  # type: ignore[arg-type]
    return made.open(folder / task, partial(decode, limits=ImageLimits()))


def test_it_is_above_chance_where_it_must_be_and_at_chance_where_not(
    clip: Scorer, tmp_path: Path
) -> None:
    def found(opened: EvaluationSet) -> dict[str, float]:
        return {name: value for name, (value, _) in measured(clip, opened, 128).values.items()}

    composed = found(drawn(tmp_path, "composition", 400))
    assert composed["image_to_text:colour"] > 0.8
    assert composed["image_to_text:object"] > 0.6
    assert composed["text_to_text:object"] > 0.8
    # Which colour goes with which thing, and who is left of whom, it does not know.
    assert composed["image_to_text:swap"] < 0.45
    assert composed["image_to_text:relation"] < 0.45
    asked = found(drawn(tmp_path, "conditional", 840))
    assert asked["recall@1"] > 3 * asked["chance"]
    assert asked["recall@1"] > 1.2 * asked["image_alone_recall@1"]
    assert asked["recall@1"] > 1.2 * asked["text_alone_recall@1"]
    assert found(drawn(tmp_path, "sentences", 300))["spearman"] > 0.7
    spoken = found(drawn(tmp_path, "languages", 150))
    assert spoken["mean_recall@1:en"] > 20 * spoken["chance"]
    assert spoken["mean_recall@1:rot13"] < 6 * spoken["chance"]
    colour = drawn(tmp_path, "colour", 180)
    alike = NeighboursTask(kind="neighbours", of="colour").over(colour, lambda: clip)
    assert found(alike)["recall@1"] > 0.5
    retrieval = drawn(tmp_path, "retrieval", 150)
    bags = found(BagsTask(kind="bags", of="x", size=8).over(retrieval, lambda: clip))
    assert bags["mean_recall@1"] > 2 * bags["chance"]
