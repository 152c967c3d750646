"""The embedded world: pool shards, corpora and evaluation sets that the program draws itself."""

from pathlib import Path

from recap_assets.artefacts.world import POOL_KEY, corpus_key, task_key
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.project import WORLD_POOL, Setting
from recap_assets.specs.base import deciding
from recap_assets.specs.evaluation import EmbeddedTask
from recap_assets.specs.pool import EmbeddedCorpus, EmbeddedPool
from recap_assets.storage.content import files_version
from recap_assets.world.writing import write_corpus, write_pool, write_task

VERSION = 1
STAGE = "world"
SECONDS_PER_IMAGE = 0.002


def nodes(setting: Setting) -> list[Node]:
    """Nodes for whatever part of the experiment is drawn."""
    experiment = setting.experiment
    made = []
    if isinstance(experiment.pool, EmbeddedPool):
        made.append(_pool_node(setting, experiment.pool))
    for name, corpus in experiment.corpora.items():
        if isinstance(corpus, EmbeddedCorpus):
            made.append(_corpus_node(setting, name, corpus))
    for name, task in experiment.evaluation.tasks.items():
        if isinstance(task, EmbeddedTask):
            made.append(_task_node(setting, name, task))
    return made


def _pool_node(setting: Setting, pool: EmbeddedPool) -> Node:
    folder = setting.workspace.world / WORLD_POOL
    seed = setting.experiment.seed

    def n_samples(partition: str) -> int:
        per_shard = pool.samples_per_shard
        numbers = [shard.number for shard in setting.partitions[partition]]
        return sum(min(per_shard, pool.samples - number * per_shard) for number in numbers)

    def shards(partition: str) -> list[Path]:
        return [folder / f"{shard.name}.tar" for shard in setting.partitions[partition]]

    def compute(step: Step) -> Outcome:
        numbers = [shard.number for shard in setting.partitions[step.partition]]
        write_pool(folder, seed, pool.samples, pool.samples_per_shard, shards=numbers)
        return Outcome(files_version(shards(step.partition), folder), n_samples(step.partition))

    return Node(
        key=POOL_KEY,
        stage=STAGE,
        dimension="pool",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(seed=seed, samples_per_shard=pool.samples_per_shard),
        compute=compute,
        description="Image-text pairs that the program draws, with alt-text as noisy as the web's.",
        # A larger pool leaves the shards alone that it already had.
        outside=lambda partition: f"{n_samples(partition)}_samples",
        content=StoredFiles(lambda _: folder, shards, lambda: setting.partitions),
        seconds=pool.samples_per_shard * pool.shards_per_partition * SECONDS_PER_IMAGE,
        kinds=("python", "webdataset"),
    )


def _corpus_node(setting: Setting, name: str, corpus: EmbeddedCorpus) -> Node:
    folder = setting.workspace.world / "corpora" / name

    def compute(step: Step) -> Outcome:
        write_corpus(
            folder,
            setting.experiment.seed,
            corpus.style,
            corpus.samples,
            corpus.captions_per_image,
            on_progress=lambda done: step.progress(done / corpus.samples),
        )
        return Outcome(files_version(folder.rglob("*.tar"), folder), corpus.samples)

    return Node(
        key=corpus_key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(seed=setting.experiment.seed, corpus=corpus),
        compute=compute,
        description="Images with clean captions, for captioners and scorers to learn from.",
        content=StoredFiles(lambda _: folder, lambda _: sorted(folder.rglob("*.tar"))),
        seconds=corpus.samples * SECONDS_PER_IMAGE,
        kinds=("python", "webdataset"),
    )


def _task_node(setting: Setting, name: str, task: EmbeddedTask) -> Node:
    folder = setting.workspace.world / "evaluation" / name

    def compute(_step: Step) -> Outcome:
        write_task(folder, setting.experiment.seed, task.task, task.samples)
        return Outcome(files_version(files_below(folder), folder), task.samples)

    return Node(
        key=task_key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(seed=setting.experiment.seed, task=task),
        compute=compute,
        description="A held-out evaluation set in CLIP_benchmark's layout.",
        content=StoredFiles(lambda _: folder, lambda _: files_below(folder)),
        seconds=task.samples * SECONDS_PER_IMAGE,
        kinds=("python", "webdataset"),
    )
