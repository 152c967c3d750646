from recap_assets.report.left_out import Change, mix_rows
from recap_assets_tests.report.sample_data import left_out


def test_a_change_holds_where_its_mean_exceeds_its_deviation() -> None:
    rows = {one.mix: one for one in mix_rows(left_out(), ["average"])}
    (raw,), (a,) = (source.cells for source in rows["best_of_two"].sources)
    assert raw == Change(0.004, 0.009, holds=False)
    assert a == Change(-0.337, 0.021, holds=True)


def test_one_seed_decides_nothing() -> None:
    one_seed = left_out().with_columns(deviation=None)
    cells = [s.cells for one in mix_rows(one_seed, ["fine"]) for s in one.sources]
    assert all(cell is not None and not cell.holds for (cell,) in cells)


def test_what_was_not_measured_is_none() -> None:
    rows = {one.mix: one for one in mix_rows(left_out(), ["average", "tail", "unknown"])}
    assert [cell is None for cell in rows["best_of_two"].cells] == [False, True, True]
    assert [c is None for c in rows["best_of_two"].sources[0].cells] == [False, True, True]
    assert [c is None for c in rows["raw_top30_a"].sources[0].cells] == [False, False, True]
