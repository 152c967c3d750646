"""DataComp's evaluation: its 40 tasks, their main metrics and the groups it averages.

Keys, names, sizes and main metrics are those of DataComp's `tasklist.yml`, the groups those of its
`aggregate_scores.py` (MIT licence). 38 tasks have a main metric; FairFace and UTKFace have none.
"""

from dataclasses import dataclass
from typing import Literal

Protocol = Literal[
    "standard", "retrieval", "winogavil", "iwildcam", "camelyon17", "fmow", "dollar_street",
    "geode", "faces",
]  # fmt: skip
"""How a task is evaluated: what its samples carry, and which metrics they give."""

METADATA: dict[Protocol, tuple[str, ...]] = {
    "iwildcam": (
        "location", "sequence", "year", "month", "day", "hour", "minute", "second", "y",
    ),
    "camelyon17": ("hospital", "slide", "y"),
    "fmow": ("region", "year", "y"),
    "dollar_street": ("income_ds", "income_meta", "region"),
    "geode": ("region", "country"),
    "faces": ("age", "gender", "race", "race_binary"),
}  # fmt: skip
"""What the numbers of a sample's `.npy` mean, in order."""

N_AVERAGED = 38
"""Tasks of DataComp's average."""


@dataclass(frozen=True)
class DataCompTask:
    """One task of `tasklist.yml`.

    Attributes:
        key: The task's key there; it decides the name of its folder.
        dataset: Its name there, under which results are published.
        size: Images of the whole set (WinoGAViL: cues).
        main_metric: What enters the averages; None for FairFace and UTKFace.
        protocol: How it is evaluated.
    """

    key: str
    dataset: str
    size: int
    main_metric: str | None = "acc1"
    protocol: Protocol = "standard"

    @property
    def name(self) -> str:
        """The task's name here: the last part of the key, with underscores only."""
        return self.key.rsplit("/", 1)[-1].replace("-", "_")

    @property
    def folder(self) -> str:
        """The webdataset's folder, as DataComp's download script names it."""
        prefix, _, rest = self.key.partition("/")
        is_plain = prefix in ("retrieval", "misc", "fairness") and rest
        return f"wds_{(rest if is_plain else self.key).replace('/', '-')}_test"

    @property
    def hub_id(self) -> str:
        """Where the set is published: the dataset's id on the Hugging Face hub."""
        if self.protocol in ("retrieval", "winogavil"):
            return f"nlphuji/{self.key.partition('/')[2]}"
        return f"djghosh/{self.folder}"


_RECALL = "mean_per_class_recall"

_TASKS = (
    DataCompTask("vtab/caltech101", "Caltech-101", 6085, _RECALL),
    DataCompTask("cifar10", "CIFAR-10", 10000),
    DataCompTask("vtab/cifar100", "CIFAR-100", 10000),
    DataCompTask("vtab/clevr_count_all", "CLEVR Counts", 15000),
    DataCompTask("vtab/clevr_closest_object_distance", "CLEVR Distance", 15000),
    DataCompTask("country211", "Country211", 21100),
    DataCompTask("vtab/dtd", "Describable Textures", 1880),
    DataCompTask("vtab/eurosat", "EuroSAT", 5400),
    DataCompTask("fgvc_aircraft", "FGVC Aircraft", 3333, _RECALL),
    DataCompTask("food101", "Food-101", 25250),
    DataCompTask("gtsrb", "GTSRB", 12630),
    DataCompTask("imagenet1k", "ImageNet 1k", 50000),
    DataCompTask("imagenet_sketch", "ImageNet Sketch", 50889),
    DataCompTask("imagenetv2", "ImageNet v2", 10000),
    DataCompTask("imagenet-a", "ImageNet-A", 7500),
    DataCompTask("imagenet-o", "ImageNet-O", 2000),
    DataCompTask("imagenet-r", "ImageNet-R", 30000),
    DataCompTask("vtab/kitti_closest_vehicle_distance", "KITTI Vehicle Distance", 711),
    DataCompTask("mnist", "MNIST", 10000),
    DataCompTask("objectnet", "ObjectNet", 18574),
    DataCompTask("vtab/flowers", "Oxford Flowers-102", 6149, _RECALL),
    DataCompTask("vtab/pets", "Oxford-IIIT Pet", 3669, _RECALL),
    DataCompTask("voc2007", "Pascal VOC 2007", 14976),
    DataCompTask("vtab/pcam", "PatchCamelyon", 32768),
    DataCompTask("renderedsst2", "Rendered SST2", 1821),
    DataCompTask("vtab/resisc45", "RESISC45", 6300),
    DataCompTask("cars", "Stanford Cars", 8041),
    DataCompTask("stl10", "STL-10", 8000),
    DataCompTask("sun397", "SUN397", 108754),
    DataCompTask("vtab/svhn", "SVHN", 26032),
    DataCompTask(
        "retrieval/flickr_1k_test_image_text_retrieval",
        "Flickr", 1000, "mean_recall@1", "retrieval",
    ),
    DataCompTask(
        "retrieval/mscoco_2014_5k_test_image_text_retrieval",
        "MSCOCO", 5000, "mean_recall@1", "retrieval",
    ),
    DataCompTask("misc/winogavil", "WinoGAViL", 3563, "jaccard_score_10-12", "winogavil"),
    DataCompTask("wilds/iwildcam", "iWildCam", 42791, "F1-macro_all", "iwildcam"),
    DataCompTask("wilds/camelyon17", "Camelyon17", 85054, "acc1", "camelyon17"),
    DataCompTask("wilds/fmow", "FMoW", 22108, "acc_worst_region", "fmow"),
    DataCompTask("fairness/dollar_street", "Dollar Street", 3503, "acc_top5_wg", "dollar_street"),
    DataCompTask("fairness/geode", "GeoDE", 12488, "acc_wg", "geode"),
    DataCompTask("fairness/fairface", "FairFace", 10954, None, "faces"),
    DataCompTask("fairness/utkface", "UTKFace", 23703, None, "faces"),
)  # fmt: skip

TASKS: dict[str, DataCompTask] = {task.name: task for task in _TASKS}
"""The tasks by their name here, in the order of `tasklist.yml`."""

AVERAGED: tuple[str, ...] = tuple(name for name, task in TASKS.items() if task.main_metric)
"""Names of the tasks of DataComp's average."""

GROUPS: dict[str, frozenset[str]] = {
    "ImageNet": frozenset({"imagenet1k"}),
    "ImageNet dist. shifts": frozenset(
        {"imagenet_sketch", "imagenetv2", "imagenet_a", "imagenet_o", "imagenet_r", "objectnet"}
    ),
    "VTAB": frozenset(
        {
            "caltech101", "cifar100", "clevr_count_all", "clevr_closest_object_distance", "dtd",
            "eurosat", "kitti_closest_vehicle_distance", "flowers", "pets", "pcam", "resisc45",
            "svhn", "sun397",
        }
    ),
    "Retrieval": frozenset(
        {
            "flickr_1k_test_image_text_retrieval", "mscoco_2014_5k_test_image_text_retrieval",
            "winogavil",
        }
    ),
    "Average": frozenset(AVERAGED),
}  # fmt: skip
"""What `aggregate_scores.py` prints, in its order, and the tasks that each is the mean of."""
