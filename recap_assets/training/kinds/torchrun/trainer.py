"""open_clip's trainer with its arguments from a file: what torchrun starts in each process.

On the command line torchrun would take some of them (`--logs`) for its own.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from open_clip_train.main import main

_PARALLEL = torch.nn.parallel.DistributedDataParallel


class ParallelOnProcessors(_PARALLEL):
    """A model whose processes have no GPU.

    open_clip names the processor as the device, which torch refuses: it has no number.
    """

    def __init__(self, module: torch.nn.Module, device_ids: object, **options: Any) -> None:  # noqa: ANN401, ARG002 - torch's
        super().__init__(module, **options)


if __name__ == "__main__":
    if not torch.cuda.is_available():
        torch.nn.parallel.DistributedDataParallel = ParallelOnProcessors
    main(json.loads(Path(sys.argv[1]).read_text()))
