import pytest
import torch

from recap_assets.specs.models import Optimizer, SmallTower
from recap_assets.training.engine.clip import train_clip
from recap_assets_tests.threads import TEST_THREADS
from recap_assets_tests.training.engine.drawings import drawn_pairs


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    # Threads that wait for each other on a busy machine take ten times as long as one.
    threads = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    train_clip(
        drawn_pairs(300), SmallTower(), Optimizer(), samples_seen=1_600, batch_size=32, seed=0
    ).save(folder)
    return folder
