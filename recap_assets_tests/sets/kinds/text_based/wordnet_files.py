"""A small WordNet in its own file format, which NLTK's reader opens as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SUFFIX = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}

# For each part of speech synsets of one meaning; a lemma's synsets are ranked in this order.
SYNSETS: Mapping[str, Sequence[Sequence[str]]] = {
    "n": [
        ("dog", "hound"), ("cat",), ("child", "kid"), ("man", "adult_male"), ("woman",), ("girl",),
        ("boy",), ("beach",), ("chart", "diagram"), ("map",), ("table", "tabular_array"),
        ("table",), ("glass",), ("glasses", "spectacles"), ("water",), ("grass",), ("leaf",),
        ("bicycle", "bike"), ("box",), ("story",), ("run",), ("posse",), ("wolf",), ("mouse",),
        ("dress",), ("shirt",), ("logo",), ("screenshot",), ("page",), ("figure",), ("axis",),
        ("image", "picture"), ("ox",), ("mountain",), ("street",), ("data",),
    ],
    "v": [
        ("run",), ("play",), ("jump",), ("show", "display"), ("kid",), ("stand",), ("use",),
        ("sit",),
    ],
    "a": [("red",), ("green",), ("large", "big"), ("old",), ("happy",), ("white",)],
    "r": [("fast",), ("together",), ("here",)],
}  # fmt: skip

EXCEPTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "n": {"children": ["child"], "mice": ["mouse"], "oxen": ["ox"], "feet": ["foot"]},
    "v": {"ran": ["run"], "stood": ["stand"], "sat": ["sit"]},
    "a": {"bigger": ["big"]},
    "r": {},
}

_LICENCE = "  1 This file was written for a test.  \n"


@dataclass
class WordNetFiles:
    """The files of a folder.

    Attributes:
        folder: Where they lie.
        offsets: For each part of speech, the offset of each synset, in the order of SYNSETS.
    """

    folder: Path
    offsets: dict[str, list[int]] = field(default_factory=dict)

    def synset(self, part: str, lemma: str) -> int:
        """Offset of the first synset with this lemma."""
        return next(
            offset
            for offset, lemmas in zip(self.offsets[part], SYNSETS[part], strict=True)
            if lemma in lemmas
        )


def write_wordnet(folder: Path) -> WordNetFiles:
    """Write data, index and exception files, and what else NLTK's reader wants to see.

    NLTK looks for them in `corpora/wordnet` below a folder of `nltk.data.path`.
    """
    folder.mkdir(parents=True)
    files = WordNetFiles(folder)
    for part, synsets in SYNSETS.items():
        files.offsets[part] = _write_data(folder, part, synsets)
        _write_index(folder, part, synsets, files.offsets[part])
        lines = [f"{word} {' '.join(forms)}\n" for word, forms in EXCEPTIONS[part].items()]
        (folder / f"{SUFFIX[part]}.exc").write_text("".join(lines))
    (folder / "lexnames").write_text("00\tadj.all\t3\n")
    (folder / "index.sense").write_text("")
    (folder / "cntlist.rev").write_text("")
    return files


def _write_data(folder: Path, part: str, synsets: Sequence[Sequence[str]]) -> list[int]:
    text, offsets = _LICENCE, []
    for lemmas in synsets:
        offsets.append(len(text))
        words = " ".join(f"{lemma} 0" for lemma in lemmas)
        frames = " 00" if part == "v" else ""
        text += f"{len(text):08d} 00 {part} {len(lemmas):02x} {words} 000{frames} | {lemmas[0]}  \n"
    (folder / f"data.{SUFFIX[part]}").write_text(text)
    return offsets


def _write_index(
    folder: Path, part: str, synsets: Sequence[Sequence[str]], offsets: Sequence[int]
) -> None:
    of_lemma: dict[str, list[int]] = {}
    for lemmas, offset in zip(synsets, offsets, strict=True):
        for lemma in lemmas:
            of_lemma.setdefault(lemma, []).append(offset)
    lines = [
        f"{lemma} {part} {len(found)} 2 @ ~ {len(found)} 0 "
        f"{' '.join(f'{offset:08d}' for offset in found)}  \n"
        for lemma, found in sorted(of_lemma.items())
    ]
    (folder / f"index.{SUFFIX[part]}").write_text(_LICENCE + "".join(lines))
