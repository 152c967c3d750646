"""Figures of a caption's words."""

from recap_assets.engines.protocols import Places, TextScorer
from recap_assets.scores.kinds.words.spec import WordsSpec


class WordsScorer(WordsSpec):
    """A figure of a caption's words: how many, how varied, how many of a list; no model.

    Words are those of diversity's tokeniser: lower case, runs of letters and digits. `measure`:

    - `words`, `characters`: how many (white space around does not count);
    - `letters`: the share of letters among the characters that are no white space;
    - `variety`: different words, as a share of all;
    - `repetition`: the share of n-grams of `n` words that came before in the same text;
    - `listed`, `listed_share`: words that a list has, and their share: of visual words, of names.

    A share of nothing is no score. A list is compared word by word, in lower case: `dog` is not
    `dogs`. The share of visual tokens (arXiv 2307.10350, its section 5) is `listed_share` with a
    list of visual nouns and adjectives.
    """

    def open(self, places: Places) -> TextScorer:  # noqa: ARG002 - of all kinds
        """What counts."""
        from recap_assets.scores.kinds.words.engine import open_words

        return open_words(self)
