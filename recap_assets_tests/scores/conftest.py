import pytest
import torch

from recap_assets_tests.threads import TEST_THREADS


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny products on several threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(before)
