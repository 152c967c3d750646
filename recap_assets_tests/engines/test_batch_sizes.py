"""How the largest batch is found, and where it is kept."""

import pytest
import torch

from recap_assets.engines import batch_sizes
from recap_assets.engines.batch_sizes import BatchSize, Load, is_out_of_memory, largest_batch
from recap_assets.engines.errors import DeviceError

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
LOAD = Load("a/model", "abc", "float32", 40, "a device")


@pytest.fixture(autouse=True)
def _much_memory(monkeypatch):
    monkeypatch.setattr(batch_sizes, "_half_of_memory_is_used", lambda: False)


def fits(limit: int, tried: list[int] | None = None):
    def attempt(rows: int) -> None:
        if tried is not None:
            tried.append(rows)
        if rows > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return attempt


@pytest.mark.parametrize(
    ("limit", "found"),
    [(1, 1), (3, 2), (7, 4), (8, 8), (31, 16), (100, 64), (600, 512), (10_000, 1_024)],
)
def test_a_gpu_gets_the_largest_power_that_fits(limit, found):
    assert largest_batch(fits(limit), GPU) == found


def test_what_did_not_fit_is_given_back_before_the_next_attempt():
    tried: list[int] = []
    freed_after: list[int] = []
    largest_batch(fits(3, tried), GPU, lambda: freed_after.append(tried[-1]))
    assert tried == [8, 4, 2, 4]
    assert freed_after == [8, 4, 4]


def test_a_model_of_which_not_one_row_fits(monkeypatch):
    monkeypatch.setattr(batch_sizes, "device_name", lambda _: "a small device")
    with pytest.raises(
        DeviceError, match="not even one row fits into the memory of a small device"
    ):
        largest_batch(fits(0), GPU)


class Clock:
    """A clock that the attempts move: so long for a batch and so long for each row."""

    def __init__(self, monkeypatch, batch: float, row: float) -> None:
        self.now, self.batch, self.row = 0.0, batch, row
        monkeypatch.setattr(batch_sizes.time, "perf_counter", lambda: self.now)

    def attempt(self, rows: int) -> None:
        self.now += self.batch + self.row * rows


def test_a_cpu_stops_where_more_rows_save_nothing(monkeypatch):
    clock = Clock(monkeypatch, batch=16.0, row=1.0)
    # Seconds a row: 3 of 8, 2 of 16, 1.5 of 32, 1.25 of 64, 1.125 of 128 (exactly a tenth less).
    assert largest_batch(clock.attempt, CPU) == 128
    assert largest_batch(Clock(monkeypatch, batch=0.1, row=1.0).attempt, CPU) == 8


def test_a_cpu_stops_before_the_system_kills_the_process(monkeypatch):
    monkeypatch.setattr(batch_sizes, "_half_of_memory_is_used", lambda: True)
    clock = Clock(monkeypatch, batch=1_000.0, row=1.0)
    assert largest_batch(clock.attempt, CPU) == 8


def test_other_errors_of_an_attempt_are_raised():
    def attempt(_rows: int) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        largest_batch(attempt, GPU)


def test_a_size_is_kept_by_model_and_device(tmp_path):
    file = tmp_path / "data" / "batch_sizes.json"
    BatchSize("auto", LOAD, file).try_out(fits(50), GPU)
    assert BatchSize("auto", LOAD, file).rows == 32
    for other in ("model", "revision", "precision", "device"):
        assert BatchSize("auto", Load(**{**vars(LOAD), other: "another"}), file).rows is None
    BatchSize("auto", LOAD, file).keep(16)
    assert BatchSize("auto", LOAD, file).rows == 16


def test_a_size_that_the_experiment_names_is_taken(tmp_path):
    file = tmp_path / "batch_sizes.json"
    BatchSize("auto", LOAD, file).keep(16)
    assert BatchSize(64, LOAD, file).rows == 64


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"rows": 3}'])
def test_a_damaged_file_is_found_out_again(tmp_path, content):
    file = tmp_path / "batch_sizes.json"
    file.write_text(content)
    assert BatchSize("auto", LOAD, file).rows is None
    BatchSize("auto", LOAD, file).keep(4)
    assert BatchSize("auto", LOAD, file).rows == 4


def test_halving_ends_at_one():
    size = BatchSize(3)
    size.halve()
    assert size.rows == 1
    size.halve()
    assert size.rows == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (
            RuntimeError(
                "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
            ),
            True,
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected
