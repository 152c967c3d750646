"""Captioners whose prompt has texts of the image in it: each image is asked in its own words."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, cast

from torch import Tensor

from recap_assets.captions.kinds.transformers.base import HubModel
from recap_assets.captions.kinds.transformers.chat import Chat, Inputs, NoRoomError
from recap_assets.captions.kinds.transformers.spec import TransformersSpec
from recap_assets.engines.decoding.batching import BatchingCaptioner
from recap_assets.engines.protocols import Caption, Device, Image


class AskedImage(NamedTuple):
    """An image, and what is asked of it."""

    image: Image
    prompt: str


def _asked(image: Image | AskedImage, plain: str) -> AskedImage:
    """An image with its prompt: a plain one where only sizes are tried."""
    return image if isinstance(image, AskedImage) else AskedImage(image, plain)


class AskedChat:
    """A chat model, as a reader of images with their prompts; see `decoding.batching.Reader`.

    Args:
        chat: The model.
        plain: A prompt for an image without one.
    """

    can_refuse = True

    def __init__(self, chat: Chat, plain: str) -> None:
        self.chat, self.device, self.plain = chat, chat.device, plain

    def prepare(self, image: Any) -> Inputs:  # noqa: ANN401 - an `AskedImage`, in an image's place
        """Template and processor, with the image's own instruction."""
        return self.chat.prepare(*_asked(image, self.plain))

    def length(self, prepared: Inputs) -> int:
        """Tokens of the prompt, the image's included."""
        return self.chat.length(prepared)

    def batch(self, prepared: Sequence[Inputs]) -> Any:  # noqa: ANN401 - see `Chat.batch`
        """The model for these prompts, which are of one length."""
        return self.chat.batch(prepared)


class _Prepared(NamedTuple):
    pixels: Tensor
    number: int
    model: HubModel


class AskedModel:
    """A model with one prompt a batch, as a reader of images with their prompts.

    Args:
        model: The model.
        plain: A prompt for an image without one.
        max_tokens: Longest caption that is asked for.
    """

    can_refuse = False

    def __init__(self, model: HubModel, plain: str, max_tokens: int) -> None:
        self.model, self.device, self.plain = model, model.device, plain
        self.max_tokens = max_tokens
        self._numbers: dict[str, int] = {}

    def prepare(self, image: Any) -> _Prepared:  # noqa: ANN401 - an `AskedImage`
        """Pixels, and the model with the image's own prompt.

        Raises:
            NoRoomError: The prompt leaves no room for the caption.
        """
        pixels, prompt = _asked(image, self.plain)
        asked = self.model.with_prompt(prompt)
        if cast("Any", asked).room < self.max_tokens:
            msg = f"a prompt that leaves no room for {self.max_tokens} tokens"
            raise NoRoomError(msg)
        number = self._numbers.setdefault(prompt, len(self._numbers))
        return _Prepared(self.model.prepare(pixels), number, asked)

    def length(self, prepared: _Prepared) -> int:
        """A number for each prompt: those of one prompt share a batch."""
        return prepared.number

    def batch(self, prepared: Sequence[_Prepared]) -> Any:  # noqa: ANN401 - one of several adapters
        """The model with these images' prompt, which takes their numbers instead of pixels."""
        numbered: Any = copy(prepared[0].model if prepared else self.model)
        numbered.prepare = lambda number: prepared[number].pixels
        return numbered


class AskedCaptioner:
    """Captions of images that are each asked in their own words.

    Args:
        source: What is asked.
        captioner: Of `AskedImage`s.
        tokens: Those of the tokenizer that no text may bring into a prompt.
    """

    def __init__(
        self,
        source: TransformersSpec,
        captioner: BatchingCaptioner[Any, Any],
        tokens: frozenset[str],
    ) -> None:
        self._source, self.captioner, self._tokens = source, captioner, tokens

    def caption(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]],
    ) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        return self.begin(images, uids, texts)()

    @property
    def batches_ahead(self) -> int:
        """Batches to `begin` beside the one that is captioned."""
        return self.captioner.batches_ahead

    @property
    def at_once(self) -> int:
        """Images of one batch."""
        return self.captioner.at_once

    def made_on(self) -> Device:
        """What it computed with."""
        return self.captioner.made_on()

    def begin(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]],
    ) -> Callable[[], list[list[Caption]]]:
        """Begin to prepare the images; what is given writes what `caption` would."""
        prompts = [self._source.asked(one, self._tokens) for one in texts]
        asked: Any = [AskedImage(*both) for both in zip(images, prompts, strict=True)]
        return self.captioner.begin(asked, uids)
