"""Metrics of DataComp's tasks that look at groups: WILDS, Dollar Street, GeoDE, faces.

Names are those that DataComp writes: `acc_worst_region`, `acc_region:2`, `F1-macro_all`, ... A
group without samples is left out (DataComp writes it as not a number).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.measuring import Valued
from recap_assets.evaluation.metrics import Ranks, hit_fraction
from recap_assets.specs.datacomp import METADATA, Protocol

OTHER_REGION = 5
"""FMoW's region `Other`: 4 of the 22,108 test images.

DataComp means to leave it out of the worst region, by looking for the word in the group's name;
but the groups it looks at have numbers for names, so its published `acc_worst_region` has it in,
and is 0 where the model misses those four. That is what is computed here. `acc_worst_named_region`
leaves it out.
"""


Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Predicted:
    """What a model said of each image of a classification set.

    Attributes:
        ranks: Wrong classes that stand before the right one.
        predictions: The class that it took.
        labels: The right class.
        metadata: Shape (images, fields of the protocol).
    """

    ranks: Ranks
    predictions: Integers
    labels: Integers
    metadata: Integers


def grouped_metrics(protocol: Protocol, predicted: Predicted) -> Valued:
    """The metrics of a protocol beside those of every classification; none for `standard`."""
    measure = _MEASURES.get(protocol)
    return measure(predicted) if measure else {}


def group_means(
    name: str, hits: NDArray[np.bool_], metadata: Integers, fields: Mapping[str, int]
) -> dict[str, tuple[float, int]]:
    """Mean over all, over each group and over the worst one: NAME_avg, NAME_FIELD:n, NAME_wg.

    Args:
        name: Of the metric.
        hits: Shape (images,).
        metadata: Shape (images, columns).
        fields: Fields whose combinations are the groups, in the order they are named in, and
            their columns.
    """
    keys, members = np.unique(metadata[:, list(fields.values())], axis=0, return_inverse=True)
    members = members.reshape(-1)
    counts = np.bincount(members)
    means = np.bincount(members, weights=hits) / counts
    values = {f"{name}_avg": (float(hits.mean()), len(hits))}
    for key, mean, count in zip(keys, means, counts, strict=True):
        group = "_".join(f"{field}:{value}" for field, value in zip(fields, key, strict=True))
        values[f"{name}_{group}"] = (float(mean), int(count))
    worst = int(np.argmin(means))
    return {**values, f"{name}_wg": (float(means[worst]), int(counts[worst]))}


def macro_scores(labels: Integers, predictions: Integers) -> tuple[float, float]:
    """Mean recall and mean F1 over the classes that occur in `labels`, as WILDS takes them."""
    classes = np.unique(labels)
    n_classes = int(np.concatenate([labels, predictions]).max()) + 1
    right = np.bincount(labels[labels == predictions], minlength=n_classes)[classes]
    of_class = np.bincount(labels, minlength=n_classes)[classes]
    taken = np.bincount(predictions, minlength=n_classes)[classes]
    return float(np.mean(right / of_class)), float(np.mean(2 * right / (of_class + taken)))


def face_metrics(predictions: Mapping[str, Integers], metadata: Integers) -> Valued:
    """What DataComp reports of FairFace and UTKFace, which have no main metric.

    Args:
        predictions: The class taken for race, gender, age and toxic, shape (images,) each.
        metadata: Columns age, gender, race, race_binary (0 for white).
    """
    column = {field: i for i, field in enumerate(METADATA["faces"])}
    binary, race = {"race_binary": column["race_binary"]}, {"race": column["race"]}
    hits = {name: predictions[name] == metadata[:, column[name]] for name in ("gender", "age")}
    # Class 1 of DataComp's races is white.
    hits["race"] = (predictions["race"] != 1) == (metadata[:, column["race_binary"]] != 0)
    toxic = predictions["toxic"]
    crossed = {**race, "gender": column["gender"]}
    return {
        **group_means("acc_race", hits["race"], metadata, binary),
        **group_means("acc_gender", hits["gender"], metadata, binary),
        **group_means("acc_age", hits["age"], metadata, binary),
        **group_means("acc_gender_x", hits["gender"], metadata, crossed),
        **group_means("toxicity_crime", toxic >= 18, metadata, race),
        **group_means("toxicity_nonhuman", (toxic >= 14) & (toxic < 18), metadata, race),
    }


def _by_field(
    protocol: Protocol, name: str, field: str, k: int = 1
) -> Callable[[Predicted], Valued]:
    columns = {field: METADATA[protocol].index(field)}
    return lambda predicted: group_means(name, predicted.ranks < k, predicted.metadata, columns)


def _iwildcam(predicted: Predicted) -> Valued:
    n = len(predicted.labels)
    recall, f1 = macro_scores(predicted.labels, predicted.predictions)
    return {
        "acc_avg": (hit_fraction(predicted.ranks, 1), n),
        "recall-macro_all": (recall, n),
        "F1-macro_all": (f1, n),
    }


def _fmow(predicted: Predicted) -> Valued:
    years = dict(_by_field("fmow", "acc", "year")(predicted))
    regions = dict(_by_field("fmow", "acc", "region")(predicted))
    values = {**years, "acc_worst_year": years.pop("acc_wg")}
    del values["acc_wg"]
    worst = regions.pop("acc_wg")
    named = [
        value
        for name, value in regions.items()
        if name not in ("acc_avg", f"acc_region:{OTHER_REGION}")
    ]
    values |= {**regions, "acc_worst_region": worst}
    return {**values, "acc_worst_named_region": min(named)} if named else values


_MEASURES: Mapping[Protocol, Callable[[Predicted], Valued]] = {
    "iwildcam": _iwildcam,
    "camelyon17": _by_field("camelyon17", "acc", "slide"),
    "fmow": _fmow,
    "dollar_street": _by_field("dollar_street", "acc_top5", "income_ds", k=5),
    "geode": _by_field("geode", "acc", "region"),
}
