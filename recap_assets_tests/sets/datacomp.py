"""DataComp's baselines, written down plainly from its rules: the oracle of the computed sets.

Nothing of the platform is used: lists, loops, numpy, and the libraries that DataComp calls.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import faiss
import fasttext
import gcld3
import numpy as np
import pyarrow.parquet as pq
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from numpy.typing import NDArray

Sample = dict[str, Any]


def read_metadata(folder: Path) -> list[Sample]:
    """All rows of the metadata, with both embeddings, file by file."""
    samples: list[Sample] = []
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        arrays = np.load(path.with_suffix(".npz"))
        for i, row in enumerate(rows):
            samples.append(row | {"l14_img": arrays["l14_img"][i]})
    return samples


def fasttext_english(model: Path) -> Callable[[str], bool]:
    loaded = fasttext.load_model(str(model))
    return lambda text: loaded.predict(text.replace("\n", " "))[0][0] == "__label__en"


def cld3_english() -> Callable[[str], bool]:
    loaded = gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=1000)
    return lambda text: loaded.FindLanguage(text=text.replace("\n", " ")).language == "en"


def basic(samples: Iterable[Sample], is_english: Callable[[str], bool]) -> set[str]:
    kept = set()
    for one in samples:
        low = min(one["original_width"], one["original_height"])
        high = max(one["original_width"], one["original_height"])
        if (
            is_english(one["text"])
            and len(one["text"].split()) > 2
            and len(one["text"]) > 5
            and low >= 200
            and high / low <= 3.0
        ):
            kept.add(one["uid"])
    return kept


def at_least(samples: Iterable[Sample], column: str, threshold: np.float32) -> set[str]:
    return {one["uid"] for one in samples if np.float32(one[column]) >= threshold}


def threshold_of(samples: Sequence[Sample], column: str, fraction: float) -> np.float32:
    scores = np.array([one[column] for one in samples], np.float32)
    return -np.sort(-scores)[int(len(scores) * fraction)]


def laion2b(samples: Iterable[Sample], is_english: Callable[[str], bool]) -> set[str]:
    column, threshold = "clip_b32_similarity_score", np.float32(0.28)
    return {
        one["uid"]
        for one in samples
        if is_english(one["text"]) and np.float32(one[column]) >= threshold
    }


class RepeatedEndings(WordNetCorpusReader):
    """NLTK's reader with the lookup of its version 3.8, which DataComp pinned."""

    def _morphy(self, form, pos, check_exceptions=True):
        index, irregular = self._lemma_pos_offset_map, self._exception_map[pos]

        def known(forms):
            return [one for one in dict.fromkeys(forms) if pos in index.get(one, {})]

        def shortened(forms):
            return [
                one[: len(one) - len(old)] + new
                for one in forms
                for old, new in self.MORPHOLOGICAL_SUBSTITUTIONS[pos]
                if one.endswith(old)
            ]

        if check_exceptions and form in irregular:
            return known([form, *irregular[form]])
        forms = shortened([form])
        if found := known([form, *forms]):
            return found
        while forms:
            forms = shortened(forms)
            if found := known(forms):
                return found
        return []


def text_based(
    samples: Iterable[Sample],
    is_english: Callable[[str], bool],
    reader: WordNetCorpusReader,
    entities: set[int],
) -> set[str]:
    def has_entity(text: str) -> bool:
        for word in text.split():
            found = reader.synsets(word)
            if found and found[0].offset() in entities:
                return True
        return False

    return {one["uid"] for one in samples if is_english(one["text"]) and has_entity(one["text"])}


def fasttext_tokens(text: str) -> list[str]:
    """fastText's tokeniser, byte by byte as its C++ reads a stream."""
    tokens, word = [], b""
    for byte in [*text.encode(), None]:
        if byte is not None and bytes([byte]) not in (
            b" ",
            b"\n",
            b"\r",
            b"\t",
            b"\v",
            b"\f",
            b"\0",
        ):
            word += bytes([byte])
            continue
        if word:
            tokens.append(word.decode())
            word = b""
        if byte == ord("\n"):
            tokens.append("</s>")
    return tokens


def caption_filter(samples: Iterable[Sample], is_english: Callable[[str], bool]) -> list[Sample]:
    return [
        one
        for one in samples
        if is_english(one["text"])
        and len(fasttext_tokens(one["text"])) > 1
        and len(one["text"]) > 5
    ]


def centroids(samples: Sequence[Sample], clusters: int, seed: int) -> NDArray[np.float32]:
    """Of the samples in the order of their uids: in DataComp the files' order decides."""
    ordered = sorted(samples, key=lambda one: one["uid"])
    vectors = np.stack([one["l14_img"] for one in ordered]).astype(np.float32)
    kmeans = faiss.Clustering(vectors.shape[1], clusters)
    kmeans.niter, kmeans.seed, kmeans.max_points_per_centroid = 20, seed, 10_000_000
    kmeans.train(vectors, faiss.IndexFlatL2(vectors.shape[1]))
    return faiss.vector_to_array(kmeans.centroids).reshape(clusters, -1)


def image_based(
    samples: Iterable[Sample], found: NDArray[np.float32], targets: NDArray[np.float32]
) -> set[str]:
    wanted = set(np.argmax(np.einsum("ik,jk->ij", targets, found), axis=1).tolist())
    return {
        one["uid"]
        for one in samples
        if int(np.argmax(found @ one["l14_img"].astype(np.float32))) in wanted
    }


def subset_file(uids: Iterable[str]) -> bytes:
    """The .npy that baselines.py saves."""
    pairs = [(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids]
    array = np.array(pairs, np.dtype("u8,u8"))
    array.sort()
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
