"""Where the results of one experiment are."""

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from recap_assets.storage.locations import refuse_unusable
from recap_assets.storage.locks import Claims
from recap_assets.storage.refused import Refused
from recap_assets.storage.store_claims import StoreClaims
from recap_assets.storage.tables import FixedTables, TableStore

DATA_VARIABLE = "RECAP_DATA"
TABLES_VARIABLE = "RECAP_TABLES"


@dataclass(frozen=True)
class Workspace:
    """The folders of one experiment below the data folder.

    Attributes:
        data: The data folder, shared by all experiments.
        name: The experiment's name.
        tables_root: Root of all experiments' tables, a path or an object store's URL; by default
            beside the other results.
        is_fixed: Whether its tables are those of the first look at each, and are only read.
    """

    data: Path
    name: str
    tables_root: str | None = None
    is_fixed: bool = field(default=False, kw_only=True)

    @classmethod
    def from_environment(cls, name: str) -> "Workspace":
        """RECAP_DATA names the data folder (`data`), RECAP_TABLES another root for the tables."""
        data = Path(os.environ.get(DATA_VARIABLE, "data")).absolute()
        return cls(data, name, os.environ.get(TABLES_VARIABLE))

    @property
    def root(self) -> Path:
        """The experiment's own folder."""
        return self.data / self.name

    @cached_property
    def tables(self) -> TableStore:
        """The experiment's Delta tables."""
        root = f"{self.tables_root}/{self.name}" if self.tables_root else str(self.root / "tables")
        return FixedTables(root) if self.is_fixed else TableStore(root)

    def fixed(self) -> "Workspace":
        """The same for a reader of many slices: see `FixedTables`."""
        return replace(self, is_fixed=True)

    def refuse_unusable(self) -> None:
        """Refuse a data folder, or a folder of tables, whose name the libraries cannot take.

        Raises:
            StorageError: The text names the folder and the character.
        """
        refuse_unusable(str(self.root))
        refuse_unusable(self.tables.root)

    @property
    def built_from(self) -> Path:
        """Names the experiment file that the results were last built from."""
        return self.root / "built_from.json"

    @property
    def kinds_used(self) -> Path:
        """From which distributions the kinds of other packages came."""
        return self.root / "kinds_used.json"

    @property
    def claims(self) -> Claims:
        """Claims on partitions that are being built."""
        tables = self.tables.root
        leases = StoreClaims(tables) if tables.startswith("s3://") else None
        return Claims(self.root / "claims", leases)

    @property
    def refused(self) -> Refused:
        """What was forgotten in the data folder; no index and no download takes it again."""
        return Refused.of(self.data)

    def model(self, name: str) -> Path:
        """Folder of a model that the platform trained."""
        return self.models / name

    @property
    def models(self) -> Path:
        """Folder of all models that the platform trained."""
        return self.root / "models"

    @property
    def world(self) -> Path:
        """Folder of what the embedded world draws: pool, corpora, evaluation sets."""
        return self.root / "world"

    def checkpoint(self, mix: str, seed: int) -> Path:
        """Folder of a training run."""
        return self.trained / mix / str(seed)

    @property
    def trained(self) -> Path:
        """Folder of all training runs, by mix and seed."""
        return self.root / "trained_clip"

    @property
    def replies(self) -> Path:
        """Replies of captioning servers, of all experiments; must be on a local disk."""
        return self.data / "server_replies.sqlite"

    @property
    def receipts(self) -> Path:
        """Folder of the receipts; what they pin stays readable."""
        return self.root / "receipts"

    @property
    def scratch(self) -> Path:
        """Finished shards of partitions that are not whole yet, by asset and fingerprint."""
        return self.root / "scratch"

    @property
    def manifest(self) -> Path:
        """The list of shards and their numbers."""
        return self.root / "pool_manifest.json"

    @property
    def downloads(self) -> Path:
        """Folder of what is fetched from a list of URLs: its plan, and by default its shards."""
        return self.root / "downloads"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.root / "report" / "index.html"

    @property
    def exports(self) -> Path:
        """Folder of the exports that name no other."""
        return self.root / "exports"

    @property
    def latest_report(self) -> Path:
        """A copy of the report that was written last, of whichever experiment."""
        return self.data / "report" / "index.html"

    @property
    def contents(self) -> Path:
        """Versions of models' and other files by their bytes; shared by all experiments."""
        return self.data / "contents"

    @property
    def evaluation_images(self) -> Path:
        """Images of evaluation sets at their models' sizes; shared by all experiments."""
        return self.data / "evaluation_images"

    @property
    def batch_sizes(self) -> Path:
        """Batch sizes that were found to fit, by model and device; shared by all experiments."""
        return self.data / "batch_sizes.json"

    @property
    def instance(self) -> Path:
        """Dagster's storage for this experiment."""
        return self.root / "dagster"
