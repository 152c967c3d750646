"""What a user sees: words for what is wrong, exit codes, and a quick start."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from recap_assets.cli import main
from recap_assets.specs.loading import load_experiment
from recap_assets.storage.tables import StorageError
from recap_assets.untrusted.errors import RecapError
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.evaluation.sets_on_disk import png, write_tar


def in_a_process(*words: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "recap_assets.cli.main"]
    command = [sys.executable, *start, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words


def test_help_needs_neither_dagster_nor_a_model_library() -> None:
    code = """
import sys
from recap_assets.cli.main import recap
recap(["--help"], standalone_mode=False)
sys.exit(str(sorted({"dagster", "torch", "transformers", "open_clip"} & set(sys.modules)) or ""))
"""
    done = in_a_process(code=code)
    assert "build" in done.stdout
    assert done.stderr.strip() == ""


def test_a_missing_experiment_is_told_in_words(tmp_path: Path) -> None:
    done = in_a_process("--experiment", str(tmp_path / "missing.yaml"), "build")
    assert done.returncode == 1
    assert "missing.yaml: cannot be read: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "run again to continue"),
        (click.Abort(), 130, "run again to continue"),
        (StorageError("table x: no space left on the disk"), 1, "no space left"),
        (click.ClickException("there are no scores yet"), 1, "there are no scores yet"),
    ],
)
def test_what_stops_a_command_is_told_in_words(
    raised: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stops() -> None:
        raise raised

    monkeypatch.setitem(main.recap.commands, "tables", click.Command("tables", callback=stops))
    monkeypatch.setattr(sys, "argv", ["recap", "tables"])
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert stopped.value.code == code
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed


def test_the_starting_file_is_an_experiment(recap: Recap, tmp_path: Path) -> None:
    printed = recap("init", "--stdout").output
    path = tmp_path / "mine.yaml"
    path.write_text(printed)
    assert load_experiment(path).name == "my_experiment"
    assert "kind: webdataset" in printed


def test_the_starting_file_never_replaces_a_file(recap: Recap, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert recap("init", path).exit_code == 0
    path.write_text("mine")
    refused = recap("init", path)
    assert refused.exit_code == 1
    assert "exists; name another file" in refused.output
    assert path.read_text() == "mine"


def test_a_fresh_folder_has_everything_to_do(recap: Recap, written: Callable[..., Path]) -> None:
    rows = json.loads(recap("--experiment", written(), "plan", "--json").output)
    ready = {row["asset"] for row in rows if row["state"] == "ready"}
    assert ready == {
        "embedded_world/pool", "embedded_world/corpora/broad", "embedded_world/corpora/pairs",
        "embedded_world/evaluation/coarse", "embedded_world/evaluation/retrieval",
        "thresholds/raw",  # a mix without a cut-off reads nothing
    }  # fmt: skip
    assert all(row["expected_seconds"] > 0 for row in rows)
    shown = " ".join(recap("--experiment", written(), "plan").output.replace("│", " ").split())
    assert "never built; waits for what it reads" in shown
    assert "reads what will change" not in shown
    assert "~ a guess: nothing like it was built here yet" in shown
    assert {row["partition"] for row in rows if row["asset"] == "raw_pool"} == {
        "00000", "00001", "00002",
    }  # fmt: skip


def test_the_status_of_a_fresh_folder(recap: Recap, written: Callable[..., Path]) -> None:
    path = written()
    rows = json.loads(recap("--experiment", path, "status", "--json").output)
    assert {row["asset"]: row["partitions"] for row in rows}["raw_pool"] == 3
    assert {(row["built"], row["last_built"]) for row in rows} == {(0, None)}
    n_rows = {row["asset"]: row["rows"] for row in rows}
    assert n_rows["raw_pool"] == 0
    assert n_rows["models/scorer"] is None, "a model has no rows"
    assert n_rows["trained_clip/raw"] is None
    assert "never" in recap("--experiment", path, "status").output


def test_settings_before_the_subcommand_are_laid_over_the_file(
    recap: Recap, written: Callable[..., Path]
) -> None:
    words = ("--experiment", written(), "--set", "pool.samples=20", "plan", "--json")
    rows = json.loads(recap(*words).output)
    assert [row["partition"] for row in rows if row["asset"] == "raw_pool"] == ["00000"]


def test_settings_and_data_behind_the_subcommand_are_as_before_it(
    recap: Recap, written: Callable[..., Path], tmp_path: Path
) -> None:
    path = written()
    place = ("--data", tmp_path / "elsewhere")
    words = ("--set", "pool.samples=20", "--set", "seed=3", *place)
    before = recap("--experiment", path, *words, "plan").output
    assert str(tmp_path / "elsewhere") in before.replace("\n", "")
    assert recap("plan", "--experiment", path, *words).output == before
    # What is set last counts, wherever it stands.
    both = recap("--experiment", path, "--set", "pool.samples=40", "plan", *words).output
    assert both == before


def test_a_dry_run_shows_the_plan_and_builds_nothing(
    recap: Recap, written: Callable[..., Path], tmp_path: Path
) -> None:
    done = recap("--experiment", written(), "build", "--dry-run")
    assert done.exit_code == 0
    assert "never built" in done.output
    assert not (tmp_path / "data" / "tiny" / "tables").exists()


def test_a_check_ends_with_2_where_something_is_out_of_date(
    recap: Recap, written: Callable[..., Path]
) -> None:
    path = written()
    assert recap("-e", path, "plan").exit_code == 0
    checked = recap("-e", path, "plan", "--check")
    assert checked.exit_code == 2
    assert "never built" in checked.output
    assert json.loads(recap("-e", path, "plan", "--check", "--json").output)


READING = (
    ("plan",), ("plan", "--why", "raw_pool"), ("status",), ("build", "--dry-run"), ("mix", "try"),
    ("lineage", "raw_pool"), ("diff", "raw", "raw_top30"), ("leaderboard",), ("verify", "raw_pool"),
    ("gc", "--dry-run"), ("imports",), ("doctor",), ("export", "nothing"),
    ("forget", "--dry-run", "--uid", "0" * 32),
)  # fmt: skip


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_command_that_reads_makes_nothing_where_nothing_was_built(
    recap: Recap, written: Callable[..., Path], tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = recap("-e", written(), *words)
    assert isinstance(done.exception, SystemExit | RecapError | None), done.exception
    assert not (tmp_path / "data").exists()


def test_the_plan_of_a_list_of_shards_keeps_no_list(
    recap: Recap, written: Callable[..., Path], tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    for name in ("0.tar", "1.tar"):
        write_tar(pool / name, [("a.png", png(1)), ("a.txt", b"a")])
    (pool / "half.tar.gz").write_bytes(b"packed")
    path = written(pool={"kind": "webdataset", "shards": str(pool), "shards_per_partition": 1})
    done = recap("-e", path, "plan")
    assert "half.tar.gz" in done.output
    rows = json.loads(recap("-e", path, "plan", "--json").output)
    assert [row["partition"] for row in rows if row["asset"] == "raw_pool"] == ["00000", "00001"]
    assert not (tmp_path / "data").exists()


def test_the_plan_of_what_was_never_built_needs_no_dagster(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    code = f"""
import os, sys
os.environ["RECAP_DATA"] = {str(tmp_path / "data")!r}
from recap_assets.cli.main import recap
recap(["-e", {str(written())!r}, "plan"], standalone_mode=False)
heavy = {{"dagster", "sqlalchemy", "torch", "transformers", "open_clip", "altair", "optuna"}}
sys.exit(str(sorted(heavy & set(sys.modules)) or ""))
"""
    done = in_a_process(code=code)
    assert "raw_pool" in done.stdout
    assert done.stderr.strip() == ""


def test_the_end_of_a_key_names_its_asset(recap: Recap, written: Callable[..., Path]) -> None:
    path = written()
    whole = recap("-e", path, "plan", "--why", "curated_mixes/raw_top30")
    assert recap("-e", path, "plan", "--why", "raw_top30").output == whole.output
    assert "curated_mixes/raw_top30[00000]" in whole.output
    near = recap("-e", path, "plan", "--why", "raw_top3").output
    assert "there is no asset raw_top3; there is curated_mixes/raw_top30" in " ".join(near.split())
    never = recap("-e", path, "lineage", "raw_top3").output
    assert "there is curated_mixes/raw_top30" in " ".join(never.split())


def test_trying_mixes_before_there_are_scores(recap: Recap, written: Callable[..., Path]) -> None:
    done = recap("mix", "try", "--experiment", written())
    assert done.exit_code == 1
    assert "there are no scores yet" in done.output


MISSING_SETS = {
    "a folder": {"kind": "webdataset", "path": "nowhere"},
    "lists": {"kind": "composition", "path": "nowhere", "images": "no_images"},
    "a file": {"kind": "sentences", "path": "nowhere.jsonl"},
}


@pytest.mark.parametrize("task", MISSING_SETS.values(), ids=MISSING_SETS)
@pytest.mark.parametrize("command", [("plan",), ("build", "--yes")])
def test_the_first_plan_names_an_evaluation_set_that_is_not_there(
    recap: Recap, written: Callable[..., Path], task: object, command: tuple[str, ...]
) -> None:
    path = written(evaluation={"tasks": {"mine": task}}, report={})
    done = recap("-e", path, *command)
    assert isinstance(done.exception, RecapError), done.output
    assert str(done.exception).startswith("evaluation.tasks.mine")
    assert "nowhere" in str(done.exception)
    others = recap("-e", path, "plan", "--select", "synthetic_captions/a")
    assert others.exit_code == 0, others.output


def test_the_first_plan_names_sets_of_datacomp_that_are_not_there(
    recap: Recap, written: Callable[..., Path], tmp_path: Path
) -> None:
    datacomp = {"root": str(tmp_path / "nowhere")}
    done = recap("-e", written(evaluation={"datacomp": datacomp}, report={}), "plan")
    assert isinstance(done.exception, RecapError), done.output
    assert "download_evalsets.py" in str(done.exception)


def test_an_error_names_the_line_of_the_value(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\npool:\n  kind: webdataset\n  shards: nowhere\n"
        "scorers: {clip: {kind: open_clip, model: ViT-B-32, pretrained: openai}}\n"
        "mixes: {raw: [{use: raw}]}\n"
    )
    for command in ("plan", "status", "build", "ui"):
        done = in_a_process("-e", str(path), command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: {path}:4: pool.shards: there is no folder ")
        assert done.stderr.count("\n") == 1
