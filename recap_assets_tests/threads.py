"""Threads that the tests compute with: one, since tiny models are slower with more of them.

`make test-bits` asks for two in RECAP_TEST_THREADS, so that its tests see threads meet.
"""

import os

TEST_THREADS = int(os.environ.get("RECAP_TEST_THREADS") or 1)
