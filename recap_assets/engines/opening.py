"""What all kinds share that are opened: a model, from this experiment or from elsewhere."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar

from recap_assets.artefacts.training import MODELS
from recap_assets.engines.protocols import Places
from recap_assets.specs.base import Spec
from recap_assets.specs.findings import Finding


class WithModel(Spec):
    """A kind with a model. `called` and `trained_model` are its own to say."""

    framework: ClassVar[str] = "pytorch"
    """What the UI says that it is computed by."""

    waits_for_a_server: ClassVar[bool] = False
    """Whether a server computes: it is opened for each partition and closed after, and where it can
    `submit`, asked for several batches at once. It needs no GPU."""

    @property
    def called(self) -> str:
        """The model, for people."""
        return self.word

    @property
    def trained_model(self) -> str | None:
        """The model of this experiment that is opened; None for one from elsewhere."""
        return None

    def trained_by(self) -> Iterator[str]:
        """Keys of the models trained here."""
        if self.trained_model is not None:
            yield MODELS.key(self.trained_model)

    def loads(self, where: str, opened: Callable[[], object]) -> Iterator[Finding]:
        """Whether the model loads, if it is on this machine; one that is trained here can wait."""
        from recap_assets.engines.trying import tried  # noqa: PLC0415 - what it takes to load one

        if self.trained_model is not None:
            yield True, f"{where}: trained here as models/{self.trained_model}"
        else:
            yield tried(where, self.called, opened)


class Opens(WithModel):
    """A kind whose model is all that is opened."""

    @abstractmethod
    def open(self, places: Places) -> object:
        """The model.

        Raises:
            ModelFileError: It is missing, damaged or of another kind.
            DeviceError: This machine has no such device.
        """

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:
        """Whether the model loads."""
        yield from self.loads(where, lambda: self.open(places))
