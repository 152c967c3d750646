"""Small Markdown previews for the metadata of a materialization.

What is previewed comes from the web, and Dagster's UI renders Markdown with HTML in it: every cell
is escaped for both, on one line, and cut to a length that a table bears.
"""

import base64
import html
import re

import polars as pl

from recap_assets.untrusted.showing import one_line

_LONGEST_CELL = 120
_SHOWN_BYTES = 6
"""Enough to find an image by, in the gallery and with --uid; a whole uid leaves texts no room."""
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>:@])")


def preview_markdown(frame: pl.DataFrame, rows: int = 8) -> str:
    """The first rows as a Markdown table.

    Args:
        frame: Any frame; binary is shown in hex, floats with four digits, null as an empty cell.
        rows: Rows shown; how many more there are is said below.
    """
    if not frame.columns:
        return "No columns."
    lines = [_line([_escaped(name) for name in frame.columns]), _line(["---"] * frame.width)]
    lines += [_line([_cell(value) for value in row]) for row in frame.head(rows).rows()]
    if frame.height > rows:
        lines += ["", f"{frame.height - rows:,} more of {frame.height:,} rows."]
    return "\n".join(lines)


def image_markdown(image: bytes, title: str = "chart") -> str:
    """A picture of our own inside the text itself, so that the UI shows it without a file to fetch.

    Raises:
        ValueError: The bytes are no PNG and no JPEG.
    """
    media_type = next((name for start, name in _PICTURES.items() if image.startswith(start)), None)
    if media_type is None:
        msg = "only a PNG or a JPEG can be previewed"
        raise ValueError(msg)
    return f"![{_escaped(title)}](data:{media_type};base64,{base64.b64encode(image).decode()})"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bytes():
            return value[:_SHOWN_BYTES].hex() + ("…" if len(value) > _SHOWN_BYTES else "")
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.4g}"
        case int():
            return str(value)
        case _:
            return _escaped(str(value))


def _escaped(text: str) -> str:
    shown = one_line(text)
    if len(shown) > _LONGEST_CELL:
        shown = f"{shown[:_LONGEST_CELL]}…"
    # Markdown first: its backslashes mean nothing to HTML, while entities hold # and ;.
    return html.escape(_MARKDOWN.sub(r"\\\1", shown))


BLOCKS = " ▁▂▃▄▅▆▇█"
HISTOGRAM_COLUMNS = 48


def histogram_markdown(histogram: pl.DataFrame) -> str:
    """A score histogram in a line of text: drawn at once, where a chart takes a third of a second.

    Args:
        histogram: SCORE_HISTOGRAMS; `bin` and `n` are read.
    """
    if histogram.is_empty():
        return "no scores"
    low, high = min(bins := histogram["bin"].to_list()), max(bins)
    width = max(1, -(-(high - low + 1) // HISTOGRAM_COLUMNS))
    columns = histogram.group_by((pl.col("bin") - low) // width).agg(pl.col("n").sum())
    counts = dict(columns.iter_rows())
    most = max(counts.values())
    bars = [BLOCKS[-(-8 * counts.get(i, 0) // most)] for i in range(max(counts) + 1)]
    ends = (low / 1e4 - 1, (high + 1) / 1e4 - 1)
    return f"`{ends[0]:.3f} {''.join(bars)} {ends[1]:.3f}`"
