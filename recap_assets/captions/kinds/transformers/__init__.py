"""Captioners of transformers."""

from collections.abc import Iterator

from recap_assets.captions.kinds.transformers.spec import TransformersSpec
from recap_assets.engines.protocols import Captioner, Places
from recap_assets.specs.findings import Finding, unwritten

OPERATIONS = 300.0
"""For an image, of each weight: BLIP-2 has 3.9 billion and takes 907 GFLOP for 40 tokens, BLIP 247
million and 105."""


class TransformersSource(TransformersSpec):
    """A captioner of transformers from the Hugging Face hub or a local folder; safetensors only.

    BLIP, BLIP-2, InstructBLIP, GIT, Florence-2, or a chat model that takes images.
    """

    @property
    def seconds_per_image(self) -> float:
        """By the size of the model, where it is on this machine."""
        from recap_assets.engines.guesses import numbers_of, seconds_of

        operations = OPERATIONS * numbers_of(self.model, self.revision)
        return super().seconds_per_image + self.candidates * seconds_of(operations, self.device)

    def open(self, places: Places) -> Captioner:
        """The captioner, of the family that its config names."""
        from recap_assets.engines.model_folders.children import children_ready

        with children_ready():
            from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner

            return load_transformers_captioner(self, places.batch_sizes)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:
        """Whether the model loads, what an image costs a chat model, and whether it stays so."""
        loaded: list[Captioner] = []
        yield from self.loads(where, lambda: loaded.append(self.open(places)))
        for captioner in loaded:
            yield from self._costs(where, captioner)
        yield from unwritten(where, self.revision)
        if self.revision is None and not self.contents():
            text = f"{where}: {self.model} is loaded at whatever commit the hub has that day; set "
            yield True, f"{text}its `revision`, or captions may change unnoticed"

    def _costs(self, where: str, captioner: Captioner) -> Iterator[Finding]:
        from recap_assets.captions.kinds.transformers.engine import prompt_costs

        costs = prompt_costs(captioner)
        if not costs:
            return
        said = " and ".join(
            f"{n:,} prompt tokens for {pixels:,} pixels"
            if n
            else f"more than the model's room for {pixels:,} pixels"
            for pixels, n in costs.items()
        )
        bound = "" if self.max_pixels else "; `max_pixels` bounds it"
        yield True, f"{where}: an image takes {said}{bound}"
