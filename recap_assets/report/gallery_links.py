"""Links of the report into the gallery, which is a process of its own.

The report is one file that is opened, mailed and printed, so its links name the address that
`recap look`, and `recap ui` for its gallery, take by default. A server that shows the report puts
the gallery that it knows of in the place of that address.
"""

from urllib.parse import quote

PORT = 3001
"""Of `recap look`, and of the gallery that `recap ui` starts, unless another is given."""

GALLERY = f"http://127.0.0.1:{PORT}"
_LINK = f'href="{GALLERY}/'


def image_link(partition: str, uid: bytes) -> str:
    """The page of an image."""
    return f"{GALLERY}/pair/{quote(partition, safe='')}/{uid.hex()}"


def lineage_link(asset: str) -> str:
    """The page of what an asset was built from."""
    return f"{GALLERY}/lineage?asset={quote(asset, safe='')}"


def with_gallery_at(page: str, address: str) -> str:
    """The report with its links leading to another address.

    Args:
        page: The report; texts of the run have no quotation mark of their own in it, so that only
            links are changed.
        address: Without a slash at the end, and without quotation marks.
    """
    return page.replace(_LINK, f'href="{address}/')
