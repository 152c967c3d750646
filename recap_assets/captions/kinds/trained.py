"""A captioner that this experiment trains."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from recap_assets.captions.kind import DecodedHere
from recap_assets.engines.protocols import Captioner, Places
from recap_assets.specs.base import Name, Spec
from recap_assets.specs.models import ModelSpec
from recap_assets.specs.running import TrainedHere


class WrittenAs(Spec):
    """How a captioner that was trained with `control` is to write."""

    alignment: int | None = Field(
        default=None,
        gt=0,
        le=1_000,
        description="How well captions are to fit, as a bin; the last is best.",
    )
    length: int | None = Field(
        default=None, gt=0, le=4_096, description="Words, one of the model's lengths."
    )
    tag: Name | None = Field(default=None, description="The source whose style it is to have.")


class EmbeddedSource(TrainedHere, DecodedHere):
    """A captioner that the asset `models/<model>` trains."""

    trained_as = "captioner"

    kind: Literal["embedded"]
    model: Name = Field(description="A model of kind captioner in this experiment.")
    control: WrittenAs | None = Field(
        default=None,
        exclude_if=lambda control: control is None,
        description="How to write, by each control that the model learned; by default it has none.",
    )

    def open(self, places: Places) -> Captioner:
        """The captioner that was trained."""
        from recap_assets.engines.small.loading import load_small_captioner

        folder = places.models / self.model
        return load_small_captioner(
            folder, self.decoding, self.candidates, self.batch_size, self.device, self.controls
        )

    @property
    def controls(self) -> Mapping[str, object]:
        """The controls that it sets, by name."""
        return self.control.model_dump(exclude_none=True) if self.control else {}

    def problems(self, models: Mapping[str, Spec]) -> Iterator[str]:
        """Guidance and control, which the model must have learned."""
        model, scale = models.get(self.model), self.decoding.guidance_scale
        if isinstance(model, ModelSpec):
            for problem in model.control_problems(self.controls):
                yield f"control: models.{self.model}: {problem}"
        if scale != 1 and isinstance(model, ModelSpec) and model.writes_without_image is False:
            yield (
                f"decoding.guidance_scale: {scale} needs a captioner that also "
                f"learned to write without an image; give models.{self.model} a "
                "condition_dropout, such as 0.15"
            )
