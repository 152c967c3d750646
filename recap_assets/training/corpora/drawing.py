"""The asset of a corpus that the program draws."""

from typing import Protocol

from recap_assets.artefacts.world import corpus_key
from recap_assets.graph.content import StoredFiles
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding
from recap_assets.storage.content import files_version
from recap_assets.world.rewriting import write_rows
from recap_assets.world.writing import CorpusStyle, write_corpus


class DrawnCorpus(Protocol):
    """What is to be drawn."""

    @property
    def style(self) -> CorpusStyle:
        """How its captions name things."""
        ...

    @property
    def samples(self) -> int:
        """Images."""
        ...

    @property
    def captions_per_image(self) -> int:
        """Captions of each."""
        ...


VERSION = 1
STAGE = "world"
SECONDS_PER_IMAGE = 0.002
SECONDS_PER_ROW = 0.0002


def node_of(project: Project, name: str, corpus: DrawnCorpus) -> Node:
    """The asset that draws the tars of a corpus."""
    folder = project.workspace.world / "corpora" / name

    def compute(step: Step) -> Outcome:
        write_corpus(
            folder,
            project.experiment.seed,
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
        decides=deciding(seed=project.experiment.seed, corpus=corpus),
        compute=compute,
        description="Images with clean captions, for captioners and scorers to learn from.",
        content=StoredFiles(lambda _: folder, lambda _: sorted(folder.rglob("*.tar"))),
        seconds=corpus.samples * SECONDS_PER_IMAGE,
        kinds=("python", "webdataset"),
    )


def rows_node(project: Project, name: str, samples: int) -> Node:
    """The asset that draws the rows of a corpus of texts."""
    folder = project.workspace.world / "corpora" / name

    def compute(step: Step) -> Outcome:
        write_rows(folder / "rows.jsonl", project.experiment.seed, samples)
        step.progress(1.0)
        return Outcome(files_version(folder.glob("*.jsonl"), folder), samples)

    return Node(
        key=corpus_key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(seed=project.experiment.seed, rows=samples),
        compute=compute,
        description="Alt-texts and captions with what is to be made of them, for rewriters to "
        "learn from.",
        content=StoredFiles(lambda _: folder, lambda _: sorted(folder.glob("*.jsonl"))),
        seconds=samples * SECONDS_PER_ROW,
        kinds=("python",),
    )
