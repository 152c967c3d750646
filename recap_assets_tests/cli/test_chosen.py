"""Commands that are recommended name the experiment and the data of the command that says so."""

import shlex
from pathlib import Path

from recap_assets.cli import main
from recap_assets.cli.chosen import Chosen, typed
from recap_assets_tests.cli.running import Recap


def test_without_options_a_command_is_typed_as_it_is() -> None:
    assert Chosen(None, ()).typed("look") == "recap look"


def test_all_options_are_typed_again_and_mean_the_same() -> None:
    chosen = Chosen(Path("my file.yaml"), ("seed=2000", "name='a b'"), Path("big disk"))
    name, *words = shlex.split(chosen.typed("look"))
    assert name == "recap"
    read = main.recap.make_context(name, words).params
    assert Chosen(read["experiment"], read["settings"], read["data"]) == chosen


def test_the_options_after_a_command_are_typed_as_well(recap: Recap, tmp_path: Path) -> None:
    result = recap("status", "-e", "smoke", "--set", "seed=7", "--data", tmp_path / "other")
    assert result.exit_code == 0, result.output
    assert typed("ui") == f"recap -e smoke --set seed=7 --data {tmp_path / 'other'} ui"
