"""DataComp's subset files."""

from typing import TYPE_CHECKING, ClassVar, Literal

from recap_assets.exports.facts import code
from recap_assets.exports.kind import WholeExport
from recap_assets.exports.repeats import repeated
from recap_assets.exports.runs import UidSpool
from recap_assets.exports.written import Progress, Written
from recap_assets.storage.folders import Folder

if TYPE_CHECKING:
    from recap_assets.graph.project import Project


class SubsetExport(WholeExport):
    """DataComp's subset files: sorted uids, one file for each caption source."""

    example = """\
uids: {mix: raw_top30_blip2_filtered, to: subset}        # sorted uids, one file a source
"""

    tags: ClassVar = ("numpy",)
    file_patterns: ClassVar = (r"sample_ids_[a-z0-9_+]+\.npy",)

    to: Literal["subset"]

    @property
    def described(self) -> str:
        """What it is."""
        return (
            f"DataComp's subset files of {self.mix}: sorted uids, one file for each caption source."
        )

    def how_to_read(self, folder: str) -> str:
        """By numpy."""
        example = f'uids = numpy.load("{folder}/sample_ids_raw.npy")  # dtype u8,u8, sorted'
        return f"DataComp's subset files, one for each caption source:\n\n{code(example)}"

    def write(self, project: "Project", folder: Folder, progress: Progress) -> Written:
        """Write `sample_ids_<source>.npy` for each source of the mix's texts.

        A pair counts in the file of its source; an image with several pairs of one source, or
        several copies of a pair, is there as often, which DataComp's resharder takes as upsampling.
        """
        from recap_assets.exports.reading import pairs_of, version_of

        written, spools = Written(), dict[str, UidSpool]()
        for partition in project.partitions:
            pairs = pairs_of(project, self.mix, partition)
            written.versions[partition] = version_of(pairs)
            for (source,), rows in pairs.partition_by("source", as_dict=True).items():
                uids = repeated(rows)["uid"]
                spools.setdefault(str(source), UidSpool()).add(uids)
            progress(1)
        for source, spool in sorted(spools.items()):
            name = f"sample_ids_{source}.npy"
            written.counted[source] = len(spool)
            with folder.writing(name) as file:
                spool.write(file)
            spool.close()
            written.add_files(file.written(name))
        return written
