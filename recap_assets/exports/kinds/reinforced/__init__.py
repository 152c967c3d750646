"""Tars with teachers' embeddings of augmented images, as MobileCLIP trains on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recap_assets.exports.facts import Curation, Holdings
from recap_assets.exports.kinds.reinforced.spec import CONFIG, ReinforcedSpec
from recap_assets.exports.written import Progress, Written
from recap_assets.storage.folders import Folder

if TYPE_CHECKING:
    from recap_assets.graph.project import Project


class ReinforcedExport(ReinforcedSpec):
    """MobileCLIP's reinforced tars: teachers' embeddings by augmentation, and several captions.

    Beside image and text a sample has the parameters of its random augmentations (`paug.json`),
    captions of several captioners (`syn.json`), and the teachers' embeddings of each augmented
    image and of each text (`npz`, float32, of several teachers one after the other). Sources:
    MobileCLIP (arXiv 2311.17049), DataCompDR; MobileCLIP2 (arXiv 2508.20691), DFNDR.
    """

    def documents(self, held: Holdings, curation: Curation) -> Mapping[str, bytes]:  # noqa: ARG002 - of all kinds
        """The configuration that the patched trainer asks for."""
        from recap_assets.exports.kinds.reinforced.augmentations import configuration

        return {CONFIG: configuration(self)}

    def write(self, project: "Project", folder: Folder, progress: Progress) -> Written:
        """Write the tars, numbered through; those that are there are kept."""
        from recap_assets.exports.kinds.reinforced.writing import write_tars

        written = write_tars(project, self, folder)
        progress(len(project.partitions))
        return written
