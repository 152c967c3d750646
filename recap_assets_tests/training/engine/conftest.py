import pytest
import torch

from recap_assets_tests.threads import TEST_THREADS


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    # Threads that wait for each other on a busy machine take ten times as long as one.
    threads = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(threads)
