"""The files of Dagster's storage of one experiment, and the configuration that says where it is."""

from pathlib import Path

from recap_assets.storage.files import write_atomically

EVENT_LOG = "event_log.db"
FILES = (EVENT_LOG, "runs.db", "schedules.db")
COMPARED = 0x52454341
"""SQLite's user_version of an event log that was compared with the lineage."""
FORGOTTEN = 0x52454346
"""Its user_version after `recap forget` took its events away, until it is compared."""
RECORDS_READ = "records.parquet"
"""What was read of the event log of a large pool."""
DAGSTER_YAML = "dagster.yaml"
_SHIPPED = Path(__file__).parent / DAGSTER_YAML


def home_of(storage: Path) -> Path:
    """The folder with Dagster's configuration: the current one, or the storage itself.

    One made in the storage keeps the records where a checkout does, so that the same data folder
    has the same records wherever `recap` is called.
    """
    here = Path.cwd()
    return here if (here / DAGSTER_YAML).exists() else storage


def write_configuration(storage: Path) -> None:
    """Write the shipped configuration into the storage, where there is none."""
    if not (storage / DAGSTER_YAML).exists():
        write_atomically(storage / DAGSTER_YAML, _SHIPPED.read_bytes())


def is_shipped(home: Path) -> bool:
    """Whether the configuration of a folder is the shipped one, or would be made as that."""
    path = home / DAGSTER_YAML
    return not path.exists() or path.read_bytes() == _SHIPPED.read_bytes()
