"""A chat model behind a server that judges how well texts fit their images."""

from recap_assets.engines.protocols import PairScorer, Places
from recap_assets.scores.kinds.judge.spec import JudgeSpec


class ChatJudge(JudgeSpec):
    """A model behind an OpenAI-compatible server that marks image and text on named axes.

    It is asked once for each pair, for a mark from `lowest` to `highest` on each axis, in JSON. The
    score is the mean of the marks, the lowest of them, or that on one axis (`take`), from 0 for
    `lowest` to 1 for `highest`. Scorers that differ in `take` alone ask the same, so replies that
    are kept serve all of them. FineVision (arXiv 2510.17269) marks so on four axes, from 1 to 5.

    A refusal, and a reply that does not have every mark within its bounds, is no score, and counted
    by its reason. The text is cut, quoted, and cleaned of marks of a chat's turns.
    """

    def open(self, places: Places) -> PairScorer:
        """The judge, which must be closed."""
        from recap_assets.scores.kinds.judge.engine import load_judge

        return load_judge(self, places.replies)
