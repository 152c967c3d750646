"""Mixes written out in the forms that other tools read."""

from recap_assets.artefacts.table import Files

EXPORTS = Files("exports")
"""What is in an export beside its shards: their list, card and checksums."""

EXPORT_SHARDS = Files("export_shards")
"""The shards of an export, for each pool partition."""
