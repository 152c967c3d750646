"""What a kind of caption source is: a spec that can be opened, or that has nodes of its own.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; its engine and its nodes are imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recap_assets.captions.served import Served
from recap_assets.engines.opening import Opens
from recap_assets.engines.protocols import Captioner, Places
from recap_assets.specs.conditions import AnyCondition
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.fields import Rows
from recap_assets.specs.findings import Finding
from recap_assets.specs.prompts import filled, names_in, references_in
from recap_assets.specs.references import Reference
from recap_assets.specs.running import Device
from recap_assets.specs.sources import MOST_CANDIDATES, Only, SourceSpec
from recap_assets.untrusted.prompt_texts import harmless, without_tokens

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


SECONDS_PER_IMAGE = 0.003
"""Of a small model, and of reading an image for any."""


class CaptionSource(SourceSpec):
    """Whose captions a source has. A kind is below `Captioning` or `OwnAssets`."""

    has_import_report: ClassVar[bool] = False
    """Whether its assets fill the table `import_reports`, which `recap imports` shows."""

    @property
    def served(self) -> Served | None:
        """What `recap serve-captioner` starts a server for; None where no server answers."""
        return None

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """What stands between the source and a build; `where` is its name in the file."""
        yield from ()


class OwnAssets(CaptionSource):
    """Captions that no model writes here: the kind says by which assets they come."""

    @abstractmethod
    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The assets of a source of this name, `SYNTHETIC_CAPTIONS.key(name)` among them."""


class Captioning(Opens, CaptionSource):
    """Captions that a model writes here, of one image after the other."""

    of_image_alone = True

    candidates: int = Field(
        default=1, gt=0, le=MOST_CANDIDATES, description="Captions of each image."
    )
    only: Annotated[Literal["used"] | AnyCondition | None, Rows] = Field(
        default=None,
        exclude_if=lambda only: only is None,
        description="Which images are captioned; by default all. `used`: those of which a mix "
        "may take a caption, so that every mix is as with all. Or a condition, as "
        "`{without: {top: 0.3, of: raw}}`: an image is left out only where it is known not to "
        "hold, and a mix that needs a caption which is left out is not built.",
    )

    @property
    def seconds_per_image(self) -> float:
        """A guess for one image with all its captions, before anything like it was measured."""
        return SECONDS_PER_IMAGE * self.candidates

    @property
    def captions_only(self) -> Only | None:
        """What `only` says."""
        return self.only

    @property
    def asks(self) -> str | None:
        """What the model is asked with each image, with names in braces; None without a prompt."""
        return None

    @property
    def reads(self) -> tuple[str, ...]:
        """The sources and columns in the prompt: their texts are passed with each image.

        Of a source its first usable candidate counts. An image that lacks one of the texts is set
        aside with the reason `without_NAME`.
        """
        return names_in(self.asks or "")

    def asked(self, texts: Mapping[str, str], tokens: Collection[str] = ()) -> str:
        """The prompt for one image, with its texts in it as `harmless` makes them.

        Args:
            texts: The image's, by name.
            tokens: Those that the model's tokenizer takes for more than text: no text has them.
        """
        safe = {name: without_tokens(harmless(text), tokens) for name, text in texts.items()}
        return filled(self.asks or "", safe)

    def refers(self) -> Iterator[Reference]:
        """What its parts name, and the sources and columns in its prompt."""
        yield from super().refers()
        yield from references_in("prompt", self.asks or "")

    @property
    def draws_by_uid(self) -> bool:
        """Whether the uid decides a caption beside image and texts, as where it seeds a draw."""
        return True

    @abstractmethod
    def open(self, places: Places) -> Captioner:
        """The captioner; an `AskedCaptioner` as well where the kind `reads` texts.

        It gives an image the same captions in any batch and order.

        Raises:
            ModelFileError: The model is missing, damaged or of another kind.
            DeviceError: This machine has no such device.
            CaptionServerError: A server's key is missing, or the file of replies cannot be used.
        """

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return 64

    @property
    def is_announced(self) -> bool:
        """Whether all images of a partition are announced first; opens an `AnnouncedCaptioner`."""
        return False

    def spent(self, captioner: Captioner) -> Mapping[str, int | float]:  # noqa: ARG002 - of servers
        """What a partition took beside time, by name."""
        return {}


class DecodedHere(Captioning):
    """Captions that the platform's own decoding writes."""

    decoding: Decoding = Decoding()
    device: Device = "auto"

    @property
    def draws_by_uid(self) -> bool:
        """Where tokens are drawn; the likeliest ones are the same under any uid."""
        return self.decoding.strategy == "sample"

    @model_validator(mode="after")
    def _beams_suffice(self) -> Self:
        if self.decoding.strategy == "beams" and self.candidates > self.decoding.beams:
            msg = (
                f"candidates {self.candidates} exceeds decoding.beams {self.decoding.beams}: the "
                "candidates are the best beams"
            )
            raise ValueError(msg)
        return self
