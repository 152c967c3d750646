import pytest

from recap_assets.sets.kinds.basic import BasicFilter
from recap_assets.sets.kinds.file import UidFile
from recap_assets.sets.kinds.image_based import ImageBased
from recap_assets.sets.kinds.image_based.target_task import TargetTask
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import SHIPPED, ExperimentError, load_experiment
from recap_assets_tests.tiny import tiny_experiment

IMAGE = {"kind": "image_based", "scorer": "clip", "target": {"task": "coarse"}}


def test_a_file_needs_no_kind_and_keeps_its_form():
    sets = tiny_experiment(
        sets={"a": {"uids": "a.npy"}, "b": {"kind": "file", "uids": "b.txt"}}
    ).sets
    assert sets["a"] == UidFile(uids="a.npy")
    assert sets["b"] == UidFile(uids="b.txt")


def test_the_defaults_are_datacomps_numbers():
    sets = tiny_experiment(sets={"basic": {"kind": "basic"}, "image": IMAGE}).sets
    basic, image = sets["basic"], sets["image"]
    assert isinstance(basic, BasicFilter)
    assert basic.decides("kind") == {
        "source": "raw", "identifier": "fasttext", "language": "en", "more_than_words": 2,
        "more_than_characters": 5, "min_side": 200, "max_aspect": 3.0,
    }  # fmt: skip
    assert isinstance(image, ImageBased)
    assert image.target == TargetTask(task="coarse")
    assert (image.clusters, image.iterations, image.sample, image.seed) == (100_000, 20, 1.0, 0)
    assert image.captions is not None
    assert (image.captions.more_than_tokens, image.captions.more_than_characters) == (1, 5)


def test_an_experiment_reads_back_as_it_was_written():
    sets = {
        "file": {"uids": "a.npy"}, "none": {"kind": "no_filter"}, "basic": {"kind": "basic"},
        "laion": {"kind": "laion2b", "scorer": "clip"},
        "text": {"kind": "text_based", "wordnet": "w", "synsets": "s.txt"},
        "image": IMAGE, "bare": {**IMAGE, "captions": None},
    }  # fmt: skip
    experiment = tiny_experiment(sets=sets, languages={"mine": {"kind": "cld3", "max_bytes": 200}})
    assert Experiment.model_validate(experiment.model_dump(mode="json")) == experiment


def test_a_declared_identifier_replaces_the_one_of_its_name():
    experiment = tiny_experiment(
        languages={"fasttext": {"kind": "fasttext", "model": "/m/lid.bin"}}
    )
    assert set(experiment.identifiers) == {"fasttext", "cld3"}
    assert experiment.identifiers["fasttext"].model_dump()["model"] == "/m/lid.bin"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sets": {"a": {"kind": "basics"}}},
         r"sets\.a: no installed package gives a kind 'basics'; there are file, no_filter"),
        ({"sets": {"a": {}}},
         r"sets\.a: a set is `\{uids: file\}`, or the key `kind` is missing; there are file"),
        ({"sets": {"a": {"uids": "x.csv"}}}, r"sets\.a\.uids: .*\.npy"),
        ({"sets": {"a": {"kind": "basic", "words": 2}}}, r"sets\.a\.words: unknown key"),
        ({"sets": {"a": {"kind": "basic", "source": "b"}}}, r"sets\.a\.source: there is no 'b'"),
        ({"sets": {"a": {"kind": "basic", "identifier": "x"}}},
         r"sets\.a\.identifier: there is no 'x'; known are cld3, fasttext"),
        ({"sets": {"a": {"kind": "laion2b"}}}, r"sets\.a\.pool_scores: name either a `scorer` or"),
        ({"sets": {"a": {"kind": "laion2b", "scorer": "x"}}}, r"sets\.a\.scorer: there is no 'x'"),
        ({"sets": {"a": {"kind": "laion2b", "pool_scores": "x"}}},
         r"sets\.a\.pool_scores: `pool\.metadata`, which would hold them, is not set"),
        ({"sets": {"a": {"kind": "laion2b", "pool_scores": "x", "source": "a"}}},
         r"those of the raw text, not of 'a'"),
        ({"sets": {"a": {**IMAGE, "target": {"task": "x"}}}}, r"sets\.a\.target\.task: there is"),
        ({"sets": {"a": {**IMAGE, "target": {"uids": "x"}}}},
         r"sets\.a\.target: a target is one of embeddings, images, task"),
        ({"sets": {"a": {**IMAGE, "centroids": "c.pt"}}}, r"a pickle \(\.pt\) is not opened"),
        ({"sets": {"a": {**IMAGE, "captions": {"source": "x"}}}},
         r"sets\.a\.captions\.source: there is no 'x'"),
        ({"languages": {"a": {"kind": "fasttext", "model": "lid.pkl"}}},
         r"languages\.a\.model: .*\.ftz"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_where_it_stands(changes, words):
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(**changes)


def test_the_shipped_baselines_are_whole_with_wordnet_as_well(tmp_path):
    text = (SHIPPED / "datacomp_baselines.yaml").read_text()
    baselines = {
        "no_filter", "basic_filter", "clip_l14_30", "clip_b32_threshold", "laion2b", "image_based",
        "image_based_and_clip_l14_30",
    }  # fmt: skip
    assert set(load_experiment(SHIPPED / "datacomp_baselines.yaml").mixes) == baselines
    for line in ("text_based:", "  scorer: l14", "  rules: [{use: raw, where: {in_set: text"):
        text = text.replace(f"  # {line}", f"  {line}")
    (tmp_path / "e.yaml").write_text(text)
    assert set(load_experiment(tmp_path / "e.yaml").mixes) == {*baselines, "text_based"}
