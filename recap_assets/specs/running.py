"""How a model is run on this machine: the fields that kinds of several families share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import LocalModel, Speed
from recap_assets.specs.references import Reference

Device = Annotated[
    str,
    Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto: a GPU where there is one."),
    Speed,
]
Precision = Literal["float32", "bfloat16", "float16"]
Rows = Annotated[
    int,
    Field(gt=0, le=65_536, description="Rows of one forward pass; changes no result."),
    Speed,
]
CaptionsAtOnce = Annotated[
    Annotated[int, Field(gt=0, le=65_536)] | Literal["auto"],
    Field(
        description="Captions of one forward pass; changes no caption. auto: the most that fit, "
        "tried once for a model and a device."
    ),
    Speed,
]

AUTO_ROWS = 256
"""Largest batch that `batch_size: auto` tries on a CPU."""

AUTO_ROWS_ON_GPU = 1_024
"""The same on a GPU."""


def gpus_of(*specs: Spec) -> int | None:
    """GPUs that models compute on, one after the other; None: all that may be used.

    A model that is spread needs all, and so does one that names its device by number, since the
    numbers are those of all.
    """
    # Of most kinds a base class has the fields, of some they are their own, so no type says it.
    devices = {str(getattr(spec, "device", "auto")) for spec in specs}
    if any(getattr(spec, "device_map", None) for spec in specs):
        return None
    if any(device.startswith("cuda:") and device != "cuda:0" for device in devices):
        return None
    return 0 if devices == {"cpu"} else 1


def images_at_once(batch_size: int | Literal["auto"]) -> int:
    """Images to read ahead of a model with this batch size."""
    return AUTO_ROWS if batch_size == "auto" else batch_size


class RunHere(Spec):
    """A model that runs on a device of this machine; named before the base class of the family.

    Its fields decide nothing and are on no card, where the order of a kind's own fields shows.
    """

    batch_size: Rows = 64
    device: Device = "auto"

    @property
    def at_once(self) -> int:
        """Images, or images whose texts, are passed at once."""
        return self.batch_size


class HubModel(RunHere):
    """A model of the Hugging Face hub or of a local folder."""

    model: Annotated[str, LocalModel] = Field(
        description="Hub id (ORGANISATION/NAME) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    precision: Precision = "float32"

    @property
    def called(self) -> str:
        """The model's name or folder."""
        return self.model


class TrainedHere(RunHere):
    """A model that this experiment trains."""

    trained_as: ClassVar[str]
    """The kind that the model must have."""

    if TYPE_CHECKING:
        model: str  # a field of each kind, whose description says which kind of model it wants

    @property
    def called(self) -> str:
        """The model's name."""
        return self.model

    @property
    def trained_model(self) -> str:
        """The model."""
        return self.model

    def refers(self) -> Iterator[Reference]:
        """The model, and what else it names."""
        yield from super().refers()
        yield Reference("model", self.model, "models", self.trained_as)
