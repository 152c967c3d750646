"""What the machines cost that an experiment computes on."""

from typing import Annotated

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import Price

PerHour = Annotated[float | None, Price]


class Prices(Spec):
    """Prices of computing, in the currency of the sources' prices; they change no result."""

    gpu_hour: PerHour = Field(
        default=None, ge=0, le=1e9, description="An hour in which a GPU is held."
    )
    cpu_hour: PerHour = Field(
        default=None, ge=0, le=1e9, description="An hour of a worker that holds no GPU."
    )

    def of(self, seconds: float, gpu_seconds: float) -> float | None:
        """What these seconds cost, of which some were a GPU's; None without a price for any."""
        parts = [(self.gpu_hour, gpu_seconds), (self.cpu_hour, seconds - gpu_seconds)]
        priced = [price * n / 3_600 for price, n in parts if price is not None]
        return sum(priced) if priced else None
