"""Small rewriters that are trained here: what a user writes."""

from typing import Literal

from pydantic import Field

from recap_assets.training.models.kind import TextModel


class TrainedRewriterSpec(TextModel):
    """A small text-to-text model: an encoder over the inputs' tokens and a decoder."""

    example = """\
rewriter: {kind: rewriter, corpus: triples, samples_seen: 20000}   # of a corpus of the kind texts
"""

    kind: Literal["rewriter"]
    batch_size: int = Field(default=64, gt=1, le=65_536, description="Rows of one step.")
    encoder_layers: int = Field(default=1, gt=0, le=128, description="Layers that read the inputs.")
    layers: int = Field(default=2, gt=0, le=128, description="Decoder layers.")
    width: int = Field(default=128, gt=0, le=8_192, multiple_of=32, description="Width of both.")
    vocabulary: int = Field(
        default=3_000, gt=300, le=1_000_000, description="Size of the BPE vocabulary, in tokens."
    )
    input_tokens: int = Field(
        default=32, gt=2, le=4_096, description="Tokens that are read of each input, at most."
    )
    output_tokens: int = Field(
        default=64, gt=2, le=4_096, description="Tokens that a text may have, the marks included."
    )
    muon_rate: float = Field(default=0.02, gt=0, description="Muon's rate on the matrices.")
    adamw_rate: float = Field(default=2e-3, gt=0, description="AdamW's rate on the rest.")
    seed: int = 0
