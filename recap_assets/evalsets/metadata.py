"""The numbers beside an image: a small .npy vector, read without trusting its header."""

import io

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.webdatasets import EvaluationSetError, Sample
from recap_assets.untrusted.arrays import read_array


def metadata_of(sample: Sample, fields: tuple[str, ...]) -> NDArray[np.int64]:
    """The sample's metadata, shape (fields,); fractions are cut off, as WILDS does for groups.

    Args:
        sample: A sample with a .npy member, unless there are no fields.
        fields: What the numbers mean.

    Raises:
        EvaluationSetError: It is missing, no vector of numbers, or of another length.
    """
    if not fields:
        return np.zeros(0, dtype=np.int64)
    try:
        vector = _vector(sample.member("npy", "metadata"))
    except ValueError as error:
        if isinstance(error, EvaluationSetError):
            raise
        msg = f"{sample.where}: its .npy is no vector of numbers: {error}"
        raise EvaluationSetError(msg) from error
    if vector.shape != (len(fields),):
        msg = (
            f"{sample.where}: its .npy has shape {vector.shape}, but {len(fields)} numbers are "
            f"needed: {', '.join(fields)}"
        )
        raise EvaluationSetError(msg)
    return vector.astype(np.int64)


def _vector(content: bytes) -> NDArray[np.generic]:
    values = read_array(io.BytesIO(content))
    if values.dtype.kind not in "iufb" or values.ndim > 1:
        msg = f"type {values.dtype}, shape {values.shape}"
        raise ValueError(msg)
    found = values.astype(np.float64) if values.dtype.kind == "f" else values
    if not np.isfinite(found).all():
        msg = f"{values.size} finite numbers were expected to have shape {values.shape}"
        raise ValueError(msg)
    return values.reshape(-1)
