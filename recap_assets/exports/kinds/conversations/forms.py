"""What files of conversations have in common, whatever their format."""

from collections.abc import Mapping

from recap_assets.exports.kinds.conversations.counts import Counts
from recap_assets.exports.kinds.conversations.turns import Conversation, Part, conversation_of
from recap_assets.exports.samples import Sample


class ConversationForm:
    """Samples as conversations of the parts that are drawn for them, with their images.

    Args:
        parts: The parts by name, with their shares.
        seed: Of the draw.
        image_tokens: Tokens that an image counts for.
    """

    with_images = True

    def __init__(self, parts: Mapping[str, Part], seed: int, image_tokens: int) -> None:
        self._parts, self._seed, self._image_tokens = parts, seed, image_tokens
        dumped = {name: part.model_dump(mode="json") for name, part in parts.items()}
        self.options: Mapping[str, object] = {
            "parts": dumped, "seed": seed, "image_tokens": image_tokens,
        }  # fmt: skip

    def record_name(self, number: int) -> str:
        """In a folder of its own, so that no reader of the data takes it for a part of them."""
        return f"records/{number:08d}.json"

    def counts(self) -> Counts:
        """Nothing counted yet."""
        return Counts(self._image_tokens)

    def conversation(self, sample: Sample) -> Conversation:
        """The conversation of a sample."""
        return conversation_of(sample.row, self._parts, self._seed)
