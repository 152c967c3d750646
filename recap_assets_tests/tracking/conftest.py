"""A tracker that keeps everything in memory."""

from recap_assets_tests.tracking.remembered import remembering, runs  # noqa: F401 - fixtures
