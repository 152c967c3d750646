"""What `recap forget --json` prints and writes: the certificate."""

from typing import Annotated

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

exact = with_config(ConfigDict(extra="forbid", strict=True))
"""Of every form: nothing is missing, more or of another type."""


@exact
class SawSamples(TypedDict):
    """Something that was made from a sample and is not removed."""

    asset: Annotated[str, Field(description="Its key.")]
    where: Annotated[str, Field(description="Its folder, or its address.")]


@exact
class ForgottenThere(TypedDict):
    """What one experiment held, and what went from it."""

    experiment: str
    rows: Annotated[dict[str, int], Field(description="By table; of raw_pool they are set aside.")]
    history: Annotated[list[str], Field(description="Tables whose former versions go.")]
    mixes: Annotated[list[str], Field(description="That have or had a pair of a sample.")]
    files: Annotated[list[str], Field(description="Dropped or rewritten, below the data folder.")]
    old_files: Annotated[int, Field(description="Data files of former versions.")]
    log_files: Annotated[int, Field(description="Entries of the tables' logs.")]
    events: Annotated[int, Field(description="Dagster's.")]
    partitions_changed: Annotated[int, Field(description="That have another data version.")]
    receipts: Annotated[list[str], Field(description="That pin no former version any more.")]
    trained: Annotated[list[SawSamples], Field(description="Models; they cannot be rewritten.")]
    exports_elsewhere: Annotated[list[SawSamples], Field(description="Outside the data folder.")]
    pool_elsewhere: Annotated[list[str], Field(description="Shards that are not ours to write.")]


@exact
class Forgetting(TypedDict):
    """The certificate of a removal; of a dry run what would go, with 0 for what went."""

    recap_certificate: Annotated[int, Field(description="The format, 1.")]
    forgotten_at: Annotated[str | None, Field(description="UTC; null where nothing was removed.")]
    resumed: Annotated[bool, Field(description="True where it completes an interrupted call.")]
    samples: Annotated[list[str], Field(description="SHA-256 of each uid's 16 bytes, in hex.")]
    images: Annotated[int, Field(description="Different images.")]
    shared_texts: Annotated[int, Field(description="Texts that others have too; they stay.")]
    experiments: list[ForgottenThere]
    replies: Annotated[int, Field(description="Kept replies of captioning servers.")]
    files: Annotated[list[str], Field(description="Dropped beside the experiments' own.")]
    searched_files: Annotated[int, Field(description="After the removal.")]
    remaining: Annotated[list[str], Field(description="Files that still hold something.")]
