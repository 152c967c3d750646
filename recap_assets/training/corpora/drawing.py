"""The asset of a corpus that the program draws."""

from typing import Protocol

from recap_assets.artefacts.world import corpus_key
from recap_assets.graph.content import StoredFiles
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding
from recap_assets.storage.content import files_version
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
