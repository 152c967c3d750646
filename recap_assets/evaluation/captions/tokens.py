"""Words of a caption as the COCO caption evaluation counts them: Penn Treebank, without marks.

The reference is Stanford's PTBTokenizer (Java), lower case, with COCO's list of marks taken out.
This follows its rules for English captions; docs/adr/0010 says how often the two differ.
"""

import re

_SHORT = r"\b(?:mr|mrs|ms|dr|st|jr|sr|vs|mt|ft|inc|ave|blvd|etc)\."
_TOKEN = re.compile(
    rf"""
      (?:[a-z]\.){{2,}}(?:[a-z]\b)?                     # u.s., a.m.
    | {_SHORT}                                          # st. louis
    | \d+(?:[.,:/]\d+)+(?:st|nd|rd|th|s)?               # 1,000 3.5 5:30 1/2
    | '(?:s|re|ve|ll|d|m)\b                             # the end of a contraction
    | n't\b
    | [^\W_]+(?:[-/&_@.'][^\W_]+)*                      # words, t-shirt, and/or, at&t
    | \.{{2,}} | -{{2,}}
    | \S
    """,
    re.VERBOSE,
)
_PARTS = re.compile(r"^(.+?)(n't|'(?:s|re|ve|ll|d|m))$")
_MARKS = frozenset("\"'`“”‘’.?!,:-;")  # noqa: RUF001 - curly quotes are meant
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_TOGETHER = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "wanna": ("wan", "na")}


def caption_tokens(caption: str) -> tuple[str, ...]:
    """The words, lower case, contractions in two, marks left out; brackets stay as `-lrb-`."""
    text = caption.lower().replace("&amp;", "&").replace("’", "'")  # noqa: RUF001 - a curly one
    return tuple(
        word for token in _TOKEN.findall(text) for word in _words(token) if word not in _MARKS
    )


def _words(token: str) -> tuple[str, ...]:
    if token in _BRACKETS:
        return (_BRACKETS[token],)
    if token in _TOGETHER:
        return _TOGETHER[token]
    if set(token) <= {"."} or set(token) <= {"-"}:
        return ()
    if parts := _PARTS.match(token):
        return (parts[1], parts[2])
    return (token,)
