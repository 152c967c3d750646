"""The field of a set whose clusters may come from a file."""

from typing import Annotated

from pydantic import AfterValidator, Field

from recap_assets.specs.fields import Content


def _is_no_pickle(value: str | None) -> str | None:
    if value is not None and not value.endswith(".npy"):
        msg = "centroids are a .npy file; a pickle (.pt) is not opened"
        raise ValueError(msg)
    return value


CentroidsFile = Annotated[
    str | None,
    Field(description="A .npy of centroids, shape (clusters, dimension), instead of k-means."),
    AfterValidator(_is_no_pickle),
    Content(),
]
