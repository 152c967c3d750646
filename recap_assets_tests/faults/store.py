"""The object store that faults happen to: a server of moto's, with a bucket for each fault."""

import importlib.util
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from recap_assets_tests.faults.proxy import PATIENCE
from recap_assets_tests.storage.s3 import environment, moto_server

if TYPE_CHECKING:
    from types import TracebackType

NEEDED = {"moto": "the extra dev brings it", "botocore": "the extra s3 brings it"}


def why_not() -> str | None:
    """Why there is no store here; None where there is."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return "; ".join(f"no {name}: {NEEDED[name]}" for name in missing) or None


class Store:
    """A store as long as the block lasts."""

    def __enter__(self) -> Self:
        from botocore.session import get_session  # noqa: PLC0415 - may be missing

        self._stack = ExitStack()
        self.url = self._stack.enter_context(moto_server())
        self._client = get_session().create_client(
            "s3", "us-east-1", endpoint_url=self.url, aws_access_key_id="somebody",
            aws_secret_access_key="secret",  # noqa: S106 - moto takes any
        )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._stack.close()

    def bucket(self, name: str, start: str | None = None) -> Mapping[str, str]:
        """Make a bucket for tables, with what another one holds.

        Returns:
            The environment of who uses it.
        """
        self._client.create_bucket(Bucket=name)
        for page in self._pages(start):
            for found in page.get("Contents", []):
                source = {"Bucket": start, "Key": found["Key"]}
                self._client.copy_object(Bucket=name, Key=found["Key"], CopySource=source)
        return self.through(self.url) | {"RECAP_TABLES": f"s3://{name}/tables"}

    def _pages(self, bucket: str | None) -> list[dict[str, list[dict[str, str]]]]:
        if bucket is None:
            return []
        return list(self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket))

    def through(self, url: str) -> dict[str, str]:
        """The environment of who reaches it by an endpoint."""
        # Delta's writer takes the names of its settings from the environment as they are.
        return {**environment(url), "TIMEOUT": f"{PATIENCE:.0f}s"}
