from io import StringIO

import pytest
from rich.console import Console

from recap_assets.cli.terminal import plain


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("[red]bold[/] [link=x]y[/link]", "[red]bold[/] [link=x]y[/link]"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("\u202eturned", "\\u202eturned"),
        ("two\r\nlines\u2028three\x00", "two lines three\\x00"),
        (":smile: Straße 漢字", ":smile: Straße 漢字"),
    ],
)
def test_what_a_stranger_wrote_stays_text_on_one_line(words: str, shown: str) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80)
    console.print(plain(words), highlight=False)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == f"{shown}\n"
