"""Attention of one query a row to all keys, for which no mask is made nor asked for.

transformers looks at a mask of ones on the device to find out that it can do without, waits for the
answer, and makes the mask after all where it cannot wait: in a recording. A kernel with a mask is
another one, with other bits.
"""

from types import TracebackType
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

_NAME = "recap_unmasked"
"""An attention for which transformers knows no masks makes none."""


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,  # noqa: ANN401 - transformers' own
) -> tuple[Tensor, None]:
    found, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return found, None


AttentionInterface.register(_NAME, _attend)


class Unmasked:
    """In the block the parts of a model that use torch's attention use it without a mask.

    For one query a row and rows of one length only.

    Args:
        network: The model; what is no module of transformers is left alone.
    """

    def __init__(self, network: object) -> None:
        modules = network.modules() if isinstance(network, nn.Module) else ()
        configs = {id(config): config for one in modules if (config := _config_of(one))}
        self._configs = list(configs.values())

    def __enter__(self) -> None:
        for config in self._configs:
            config._attn_implementation_internal = _NAME  # noqa: SLF001 - no public way for one

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for config in self._configs:
            config._attn_implementation_internal = "sdpa"  # noqa: SLF001


def _config_of(module: nn.Module) -> Any:  # noqa: ANN401 - one of hundreds of configs
    """The config of a module that uses torch's attention."""
    config = getattr(module, "config", None)
    return config if getattr(config, "_attn_implementation_internal", None) == "sdpa" else None
