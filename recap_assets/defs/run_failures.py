"""What failed in a run of Dagster, in the words of what failed."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData
from dagster_shared.error import SerializableErrorInfo

from recap_assets.defs.assets import asset_key
from recap_assets.defs.build_state import Failures

OURS = "recap_assets."
ERROR = dg.AssetCheckSeverity.ERROR


def failures_of(result: dg.ExecuteInProcessResult, assets: Sequence[str]) -> Failures:
    """What failed in a run of these assets, and what a check found unfit for what follows."""
    steps: dict[str, str] = {}
    names = {asset_key(asset).to_python_identifier(): asset for asset in assets}
    for event in result.get_step_failure_events():
        steps[names[str(event.step_key)]] = failure_in_words(event.step_failure_data)
    unfit: dict[str, str] = {}
    for found in filter(blocks, result.get_asset_check_evaluations()):
        asset = found.asset_key.to_user_string()
        unfit[asset] = "; ".join(filter(None, (unfit.get(asset), unfit_in_words(found))))
    whole = None if result.success or steps or unfit else "failed without an error of a step"
    return Failures(whole, steps, unfit)


def failure_in_words(failure: StepFailureData) -> str:
    """Why a step failed."""
    explained = failure.user_failure_data
    return (
        explained.description if explained and explained.description else _in_words(failure.error)
    )


def blocks(found: dg.AssetCheckEvaluation) -> bool:
    """Whether what reads the asset must not be built after this."""
    return found.blocking is not False and found.severity == ERROR and not found.passed


def unfit_in_words(found: dg.AssetCheckEvaluation) -> str:
    """What a check found that must not be."""
    figures = ", ".join(f"{name} {value.value}" for name, value in found.metadata.items())
    asset = found.asset_key.to_user_string()
    return f"what was written to {asset} fails its check {found.check_name}: {figures}"


def _in_words(error: SerializableErrorInfo | None) -> str:
    # Dagster wraps our error, and ours may be raised from a library's, which says less.
    while error is not None and error.cause is not None and _is_wrapper(error.cls_name):
        error = error.cause
    if error is None:
        return "failed without an error"
    message = error.message.strip()
    is_ours = message.startswith(OURS)
    return message.partition(": ")[2] if is_ours else message


def _is_wrapper(name: str | None) -> bool:
    return name is not None and name.startswith(("Dagster", "RetryRequested"))
