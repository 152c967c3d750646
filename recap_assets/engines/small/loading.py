"""Saved small models, loaded for use."""

from collections.abc import Mapping
from pathlib import Path

from recap_assets.engines.devices import resolve_device
from recap_assets.engines.protocols import Captioner, Scorer
from recap_assets.engines.small.controls import Controls
from recap_assets.engines.small.decoder import DecoderShape, SmallCaptionModel
from recap_assets.engines.small.files import read_config, read_model, read_tokenizer
from recap_assets.engines.small.inference import SmallCaptioner, SmallScorer
from recap_assets.engines.small.rewriter import RewriterShape, SmallRewriteModel, SmallRewriter
from recap_assets.engines.small.towers import SmallClip
from recap_assets.engines.small.vocabulary import SmallVocabularyModel, SmallVocabularyScorer
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.models import SmallTower

CLIP_KIND = "small_clip"
CAPTIONER_KIND = "small_captioner"
REWRITER_KIND = "small_rewriter"
VOCABULARY_KIND = "small_vocabulary"


def read_small_clip(directory: Path) -> SmallClip:
    """The CLIP saved in `directory`, in eval mode.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind.
    """
    return read_model(
        directory,
        CLIP_KIND,
        lambda config: SmallClip(SmallTower(**config["tower"]), config["vocabulary"]),
    )


def read_small_captioner(directory: Path) -> SmallCaptionModel:
    """The captioner saved in `directory`, in eval mode.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind.
    """
    return read_model(
        directory,
        CAPTIONER_KIND,
        lambda config: SmallCaptionModel(
            SmallTower(**config["tower"]), DecoderShape(**config["decoder"])
        ),
    )


def load_small_clip(directory: Path, batch_size: int = 128, device: str = "auto") -> Scorer:
    """A CLIP trained here, as a scorer.

    Args:
        directory: What `TrainedClipModel.save` wrote.
        batch_size: Rows of one forward pass; changes no embedding.
        device: auto, or a torch device.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind.
    """
    model = read_small_clip(directory)
    return SmallScorer(model, read_tokenizer(directory), batch_size, resolve_device(device))


def load_small_captioner(
    directory: Path,
    decoding: Decoding,
    candidates: int = 1,
    batch_size: int = 64,
    device: str = "auto",
    control: Mapping[str, object] | None = None,
) -> Captioner:
    """A captioner trained here.

    Args:
        directory: What `TrainedCaptionerModel.save` wrote.
        decoding: Strategy, bounds and seed.
        candidates: Captions of each image.
        batch_size: Images of one forward pass; changes no caption.
        device: auto, or a torch device.
        control: How to write, of each control that the captioner learned: `alignment`, `length`,
            `tag`.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind, the decoding asks for
            more tokens than the model has positions, or the captioner learned no such control.
        ValueError: More candidates than beams.
    """
    model = read_small_captioner(directory)
    controls = read_controls(directory).chosen(str(directory), control or {})
    return SmallCaptioner(
        model,
        read_tokenizer(directory),
        decoding,
        candidates,
        batch_size,
        resolve_device(device),
        controls,
    )


def read_controls(directory: Path) -> Controls:
    """What the captioner saved in `directory` can be told about how to write.

    Raises:
        ModelFileError: A file is missing or damaged.
    """
    return Controls.of_config(directory, read_config(directory, CAPTIONER_KIND))


def read_small_rewriter(directory: Path) -> SmallRewriteModel:
    """The rewriter saved in `directory`, in eval mode.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind.
    """
    return read_model(
        directory,
        REWRITER_KIND,
        lambda config: SmallRewriteModel(RewriterShape.model_validate(config.get("shape"))),
    )


def load_small_rewriter(
    directory: Path,
    decoding: Decoding,
    candidates: int = 1,
    batch_size: int = 64,
    device: str = "auto",
) -> SmallRewriter:
    """A rewriter trained here.

    Args:
        directory: What `TrainedRewriterModel.save` wrote.
        decoding: Strategy, bounds and seed.
        candidates: Texts of each row.
        batch_size: Rows of one forward pass; changes no text.
        device: auto, or a torch device.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind, or the decoding asks for
            more tokens than the model has positions.
        ValueError: More candidates than beams.
    """
    model, tokenizer = read_small_rewriter(directory), read_tokenizer(directory)
    return SmallRewriter(model, tokenizer, decoding, candidates, batch_size, resolve_device(device))


def read_small_vocabulary(directory: Path) -> SmallVocabularyModel:
    """The vocabulary model saved in `directory`, in eval mode.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind.
    """
    return read_model(
        directory,
        VOCABULARY_KIND,
        lambda config: SmallVocabularyModel(
            SmallTower(**config["tower"]), config["vocabulary"], config["top"]
        ),
    )


def load_small_vocabulary(
    directory: Path, batch_size: int = 128, device: str = "auto"
) -> SmallVocabularyScorer:
    """A vocabulary model trained here, as a scorer.

    Args:
        directory: What `TrainedVocabularyModel.save` wrote.
        batch_size: Rows of one forward pass; changes no embedding.
        device: auto, or a torch device.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind.
    """
    model, tokenizer = read_small_vocabulary(directory), read_tokenizer(directory)
    return SmallVocabularyScorer(model, tokenizer, batch_size, resolve_device(device))
