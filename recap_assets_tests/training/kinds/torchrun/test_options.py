"""What may be told to torchrun: where machines meet, never what runs or where logs go."""

import pytest

from recap_assets.training.kinds.torchrun.options import check_torchrun_arguments


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--standalone",),
        ("--nnodes=4", "--rdzv-endpoint=host:29500"),
        ("--nnodes", "4", "--node_rank", "3", "--master_addr", "10.0.0.1", "--master-port=1"),
        ("--rdzv_backend=c10d", "--rdzv_id=run-7", "--rdzv-conf=timeout=900,read_timeout=60"),
        ("--max-restarts=2", "--monitor-interval=0.5", "--rdzv-endpoint=[::1]:29500"),
    ],
)
def test_where_machines_meet_is_taken(arguments: tuple[str, ...]) -> None:
    check_torchrun_arguments(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--no-python", "/bin/sh", "-c", "touch x"),
        ("--no_python",),
        ("--no-p",),
        ("-m", "evil"),
        ("/bin/sh",),
        ("--standalone", "evil.py"),
        ("--log-dir=/etc",),
        ("--redirects=3",),
        ("--rdzv-backend=evil",),
        ("--rdzv-endpoint=a b",),
        ("--rdzv-endpoint", "--no-python"),
        ("--nnodes",),
        ("--nnodes=4\n",),
        ("--nnodes=1:4",),
        ("--nnodes=0",),
        ("--standalone=1",),
        ("--nproc-per-node=4",),
    ],
)
def test_whatever_else_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"--nnodes|takes"):
        check_torchrun_arguments(arguments)
