"""Lets CLIP_benchmark 1.6.2 run beside the installed numpy."""

from collections.abc import Iterator

import numpy as np
import pytest
from clip_benchmark.metrics import zeroshot_classification


def _float(value: object) -> float:
    return value.item() if isinstance(value, np.ndarray) else float(value)  # type: ignore[arg-type]


@pytest.fixture(scope="session", autouse=True)
def clip_benchmark_runs() -> Iterator[None]:
    # Its `accuracy` calls float() on an array of one element, which numpy 2.4 refuses.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zeroshot_classification, "float", _float, raising=False)
        yield
