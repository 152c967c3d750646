import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny products on several threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
