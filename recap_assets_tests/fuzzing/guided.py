"""One test, fed with what reaches new lines of recap_assets; ends by itself when its time is up.

    python -m recap_assets_tests.fuzzing.guided MODULE TEST SECONDS SEED FOLDER

What is found is replayed by the test itself: hypothesis keeps it in `.hypothesis`.
"""

import importlib
import sys
from collections.abc import Callable

import atheris  # type: ignore[reportMissingImports] - `make fuzz` installs it

SECONDS_AN_INPUT = 20
MEMORY_MB = 3_000
MAX_BYTES = 8_192


def main() -> None:
    """Fuzz until the time is up, or something is found."""
    module, name, seconds, seed, folder = sys.argv[1:]
    with atheris.instrument_imports(include=["recap_assets"]):
        test = getattr(importlib.import_module(module), name)
    feed: Callable[[bytes], object] = test.hypothesis.fuzz_one_input
    options = [
        f"-max_total_time={seconds}", f"-seed={int(seed) + 1}", f"-timeout={SECONDS_AN_INPUT}",
        f"-rss_limit_mb={MEMORY_MB}", f"-max_len={MAX_BYTES}", f"-artifact_prefix={folder}/",
        "-print_final_stats=1", "-close_fd_mask=0",
    ]  # fmt: skip

    def give(data: bytes) -> None:
        feed(data)

    atheris.Setup([sys.argv[0], *options], give)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
