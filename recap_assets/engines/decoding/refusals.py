"""Replies of chat models that describe nothing: the model declines, or says it saw no image.

The rule reads the beginning of a reply only, where models put a refusal, and asks for two things at
once: the model speaks of itself (or of the request), and says that it cannot or will not do what a
captioner is asked to do. So "Sorry, we're closed, reads the sign" and "I can't believe it's not
butter, a tub of spread" are captions, and so is one with a refusal's words further in.
"""

import re

from recap_assets.engines.decoding.refusal_words import DECLINES, SEES_NOTHING

DECLINED = "declined"
"""The model would not, or said that it could not."""

NO_IMAGE = "no_image_seen"
"""The model says that there was no image."""

_BEGINNING = 200
"""Characters that are read."""

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'"})
_DECORATION = " \t\r\n\"'*_#>-\u201c\u201d¡¿「『(\uff08"

_CANNOT = (
    r"(?:can't|cannot|can not|can ?no longer|could not|couldn't|won't|will not|must decline"
    r"|have to decline|decline|(?:am|'m|was) (?:\w+ )?(?:unable|not able|not allowed|not permitted)"
    r"|(?:am|'m) not (?:comfortable|designed|programmed)"
    r"|(?:do not|don't) (?:have the ability|feel comfortable))"
)
_TASK = (
    r"(?:describe|describing|assist|assisting|help|helping|identify|identifying|provid(?:e|ing)"
    r"|see|seeing|view|viewing|access|accessing|generat(?:e|ing)|creat(?:e|ing)|writ(?:e|ing)"
    r"|caption|captioning|answer|answering|comply|fulfil|fulfill|process|processing|analy[sz]e"
    r"|analy[sz]ing|discuss|discussing|do that|do this|engage|interpret|recognize|comment|continue"
    r"|give|offer|share|make|look)"
)
_APOLOGY = (
    r"(?:(?:i'm|i am|we're|we are) (?:\w+ )?sorry|sorry|i apologi[sz]e|my apologies|apologies"
    r"|unfortunately)"
)
_PREFACE = rf"(?:{_APOLOGY}[,.;:!]?(?: for [^,.]{{0,60}}[,.]?)? *(?:but|however)?[,]? *)?"

_DECLINES = re.compile(
    rf"{_PREFACE}(?:as an ai\b[^.]{{0,60}}?,? *)?(?:but )?i ?{_CANNOT}\b[^.]{{0,40}}?\b{_TASK}\b"
    rf"|{_PREFACE}unable to {_TASK}\b"
    r"|as an ai (?:language model|model|assistant)\b"
    rf"|{'|'.join(DECLINES)}"
)
_SEES_NOTHING = re.compile(
    rf"{_PREFACE}(?:but )?(?:"
    r"i (?:don't|do not|can't|cannot) (?:actually )?(?:see|find|view|have) "
    r"(?:an?|any|the|your)(?: attached| uploaded| provided)? (?:image|picture|photo)\b"
    r"|(?:it (?:seems|looks|appears)[^.]{0,20} )?(?:there (?:is|was|seems to be) )?no "
    r"(?:image|picture|photo) (?:was |is |has been |appears to be )?"
    r"(?:provided|attached|uploaded|given|included|shared|found)\b"
    r"|please (?:provide|upload|attach|share|send)(?: me)? (?:an?|the|your) "
    r"(?:image|picture|photo)\b"
    rf"|{'|'.join(SEES_NOTHING)})"
)


def refusal_of(text: str) -> str | None:
    """Why a reply is no caption, or None where it reads as one.

    Args:
        text: A chat model's reply, as decoded.

    Returns:
        `declined`, `no_image_seen` or None. The rule knows English and some twenty languages more;
        what it cannot decide is taken as a caption, and is scored.
    """
    beginning = text[: 2 * _BEGINNING].translate(_APOSTROPHES).lower().lstrip(_DECORATION)
    beginning = " ".join(beginning[:_BEGINNING].split())
    if _SEES_NOTHING.match(beginning):
        return NO_IMAGE
    return DECLINED if _DECLINES.match(beginning) else None
