"""open_clip's own trainer on exported shards: what a user writes."""

from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import Field, field_validator, model_validator

from recap_assets.specs.fields import Shorthand, Speed
from recap_assets.specs.models import OpenClipTower
from recap_assets.training.kind import Launcher
from recap_assets.training.kinds.torchrun.options import check_torchrun_arguments


class Recipe(NamedTuple):
    """Hyper-parameters that DataComp fixes for one scale."""

    model: str
    batch_size: int
    learning_rate: float
    samples_seen: int
    warmup_steps: int
    beta2: float = 0.98


RECIPES = {
    "debug": Recipe("ViT-B-32", 1_024, 1e-4, 128_000, 500),
    "small": Recipe("ViT-B-32", 4_096, 5e-4, 12_800_000, 500),
    "medium": Recipe("ViT-B-32", 4_096, 5e-4, 128_000_000, 500),
    "large": Recipe("ViT-B-16", 8_192, 5e-4, 1_280_000_000, 500),
    "xlarge": Recipe("ViT-L-14", 90_112, 1e-3, 12_800_000_000, 10_000, 0.95),
}
"""DataComp's `scale_configs.py` (arXiv 2304.14108, appendix)."""
_SMALL = RECIPES["small"]

ALONE = ("--standalone",)
"""What torchrun is given where one machine trains."""

NOT_IN_OPEN_CLIP = {
    "positives": "open_clip's trainer takes one text an image",
    "prefix": "open_clip's trainer takes texts as they are exported",
    "loss": "open_clip's trainer has its own loss alone",
}
"""Options of training in process that this launcher does not have, and why."""


class TorchrunSpec(Launcher):
    """open_clip's own trainer on shards exported for it, with the recipe of a DataComp scale.

    What the recipe fixes may be overridden; what is said beside it changes the speed only.
    """

    reads_exports = True
    extra = "training"
    repeats = False
    """Two runs of open_clip's trainer with one seed differ."""
    spreads = True

    launcher: Literal["torchrun"]
    scale: Annotated[Literal["debug", "small", "medium", "large", "xlarge"], Shorthand] = Field(
        description="DataComp's recipe: model, batch size, learning rate, samples seen, warm-up."
    )
    model: str = Field(
        default=_SMALL.model,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="open_clip's model name, no folder and no hub id; by default the scale's.",
    )
    batch_size: int = Field(
        default=_SMALL.batch_size,
        gt=1,
        le=2**20,
        description="Pairs of one step, over all processes; by default the scale's.",
    )
    learning_rate: float = Field(
        default=_SMALL.learning_rate, gt=0, description="AdamW's peak; by default the scale's."
    )
    samples_seen: int = Field(
        default=_SMALL.samples_seen,
        gt=0,
        le=10**12,
        description="Pairs seen; by default the scale's.",
    )
    warmup_steps: int = Field(
        default=_SMALL.warmup_steps,
        ge=0,
        le=10**9,
        description="Of linear warm-up; by default the scale's.",
    )
    beta2: float = Field(
        default=_SMALL.beta2, gt=0, lt=1, description="AdamW's; by default the scale's."
    )
    precision: Literal["amp", "amp_bf16", "bf16", "fp16", "fp32"] = Field(
        default="amp", description="open_clip's --precision; fp32 on a CPU."
    )
    checkpoints: int = Field(
        default=5,
        gt=0,
        le=10_000,
        description="Checkpoints of a run; a killed run resumes from the last.",
    )
    processes: Annotated[Annotated[int, Field(le=4_096)] | Literal["auto"], Speed] = Field(
        default="auto", description="Processes of one machine; auto: one for each GPU."
    )
    workers: Annotated[Annotated[int, Field(gt=0, le=256)] | Literal["auto"], Speed] = Field(
        default="auto",
        description="Loader processes of each process, at most: the largest number that divides "
        "the batches of a checkpoint. auto: on a GPU its share of the cores but one, else 5.",
    )
    gradient_checkpointing: Annotated[bool, Speed] = Field(
        default=True,
        description="Whether activations are computed again in the backward pass, which takes time "
        "and saves memory: 26 GB hold 4,096 pairs of ViT-B-32.",
    )
    accumulation: Annotated[int, Speed] = Field(
        default=1, gt=0, le=65_536, description="Forward passes of one step, where memory is short."
    )
    torchrun_arguments: Annotated[tuple[str, ...], Speed] = Field(
        default=ALONE,
        description="For several machines: --nnodes, --node-rank, --rdzv-endpoint and the like, "
        "by list; nothing that names a program or a file.",
    )

    @field_validator("torchrun_arguments")
    @classmethod
    def _only_known_options(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_torchrun_arguments(value)
        return value

    @model_validator(mode="before")
    @classmethod
    def _has_what_open_clip_has(cls, value: Any) -> Any:  # noqa: ANN401 - pydantic hands over raw input
        if isinstance(value, dict):
            for name, why in NOT_IN_OPEN_CLIP.items():
                if name in value:
                    msg = f"{name}: {why}; use `launcher: in_process`, or leave it out"
                    raise ValueError(msg)
        return cast("object", value)

    @model_validator(mode="before")
    @classmethod
    def _take_recipe(cls, value: Any) -> Any:  # noqa: ANN401 - pydantic hands over raw input
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, object]", value)
        recipe = RECIPES.get(str(given.get("scale")))
        return given if recipe is None else {**recipe._asdict(), **given}

    @property
    def n_gpus(self) -> int | None:
        """One for each process of this machine; None: all that may be used."""
        return None if self.processes == "auto" else max(1, self.processes)

    @property
    def tower(self) -> OpenClipTower:
        """What is trained."""
        return OpenClipTower(kind="open_clip", name=self.model)
