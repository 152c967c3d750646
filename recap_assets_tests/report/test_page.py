import dataclasses
import html
import re
from html.parser import HTMLParser

import polars as pl
import pytest

from recap_assets.report import contents
from recap_assets.report import page as report
from recap_assets.report.gallery_links import GALLERY, with_gallery_at
from recap_assets.report.standing import RUNS
from recap_assets.report.terms import terms_of
from recap_assets_tests.report import sample_data as sample
from recap_assets_tests.tiny import EXPERIMENT, tiny_experiment

VOID = {"meta", "img", "br", "link", "input", "hr"}


class _Page(HTMLParser):
    """Well-formedness, visible text and every attribute that could load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.targets: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = [v or "" for k, v in attrs if k in {"src", "href", "xlink:href", "srcset"}]
        (self.targets if tag == "a" else self.links).extend(found)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def page() -> str:
    return report.render(sample.report_data())


def tables_only(data: contents.ReportData) -> contents.ReportData:
    """Without what only charts show, which take their time."""
    nothing = contents.ReportData(run=data.run)
    return dataclasses.replace(
        data,
        histograms=nothing.histograms,
        diversity=nothing.diversity,
        curves=nothing.curves,
        shares=nothing.shares,
    )


def test_the_page_is_well_formed_and_names_every_mix_and_claim(page: str):
    parsed = _Page(page)

    assert not parsed.open
    for expected in (*sample.MIXES, *(c.statement for c in sample.claims()), "0123456789ab"):
        assert expected in parsed.text
    assert parsed.tags.count("svg") == 13, "the main chart is there for phones as well"
    assert parsed.tags.count("img") == 12 + 12 + 3


def test_the_page_loads_nothing_from_anywhere(page: str):
    parsed = _Page(page)

    assert all(link.startswith(("data:image/", "#")) for link in parsed.links)
    assert all(target.startswith(("#", f"{GALLERY}/")) for target in parsed.targets)
    without_links = page.replace(f'href="{GALLERY}/', 'href="#')
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", without_links)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page
    assert "script" not in parsed.tags
    assert "default-src 'none'" in page


def test_the_headline_is_the_best_mix_against_the_baseline(page: str):
    assert "raw_top30_a trains the best model: 58.6 % on average, 21.3 points above raw_top30." in (
        _Page(page).text.replace(" ,", ",")
    )


def bold_of(page: str) -> list[str]:
    return re.findall(r"<b>([\d.]+)</b>", page.split('id="claims"', maxsplit=1)[0])


def heading_of(data: contents.ReportData) -> str:
    text = _Page(report.render(tables_only(data))).text
    return text.partition(f"Recap report · {data.run.experiment} ")[2].partition(" The embedded")[0]


def with_values(values: dict[str, list[float]], chance: float | None = None) -> contents.ReportData:
    """A run with these values of each mix on the average, a value for each seed."""
    n_seeds = len(next(iter(values.values())))
    rows = [(mix, "average", seed, v) for mix, of in values.items() for seed, v in enumerate(of)]
    runs = pl.DataFrame(rows, schema=RUNS, orient="row")
    board = sample.leaderboard(n_seeds=n_seeds, sweep=False).filter(
        pl.col("task").eq("average") & pl.col("mix").is_in(list(values))
    )
    means = runs.group_by("mix").agg(m=pl.col("value").mean(), d=pl.col("value").std())
    board = board.join(means, on="mix").with_columns(mean="m", deviation="d").drop("m", "d")
    data = sample.report_data(n_seeds=n_seeds)
    return dataclasses.replace(
        tables_only(data),
        leaderboard=board,
        runs=runs,
        chance=chance,
        left_out=data.left_out.clear(),
    )


def test_bold_is_the_best_of_a_column_that_leads_by_more_than_noise(page: str):
    board = page.partition('<table class="board">')[2].partition("</table>")[0]
    with_bold = re.findall(r"<span>(\w+)</span></span>(?=(?:(?!</tr>).)*<b>)", board, re.DOTALL)

    assert "58.6" in bold_of(page)
    assert "53.7" not in bold_of(page), "retrieval, where a leads best_of_two by less than noise"
    assert {"raw_top30_a"} < set(with_bold), "the best on average is not the best everywhere"
    leads = {"raw": [0.2, 0.3, 0.4], "a": [0.3, 0.4, 0.5], "b": [0.1, 0.1, 0.1]}
    assert bold_of(report.render(with_values(leads))) == ["40.0"]


def test_a_lead_within_its_deviation_is_a_tie_and_not_bold():
    data = with_values({"raw": [0.3, 0.4, 0.2], "a": [0.4, 0.2, 0.36], "b": [0.1, 0.1, 0.1]})

    assert heading_of(data) == (
        "a is tied with raw : 32.0 % on average, a lead of 2.0 ± 19.3 points over 3 seeds."
    )
    assert bold_of(report.render(data)) == []


def test_an_average_within_its_deviation_of_guessing_is_at_chance():
    values = {"raw": [0.011, 0.012, 0.013], "a": [0.001, 0.002, 0.003]}

    assert heading_of(with_values(values, chance=0.0115)) == (
        "No mix trains a model better than guessing: the highest average, 1.2 % of raw , is at "
        "chance (1.1 %)."
    )
    assert "raw trains the best model" in heading_of(with_values(values, chance=0.001))
    assert "raw trains the best model" in heading_of(with_values(values))


def test_of_one_seed_nothing_is_claimed():
    data = with_values({"raw": [0.003], "a": [0.001]}, chance=0.002)

    assert heading_of(data) == (
        "raw has the highest average, 0.3 %; one seed: no claim (guessing gives 0.2 %)."
    )
    assert bold_of(report.render(data)) == []


def test_a_single_mix_is_not_the_best_of_any():
    assert heading_of(with_values({"raw": [0.2, 0.3]})) == (
        "raw trains a model of 25.0 % on average."
    )


def test_what_each_source_adds_is_told_in_points_with_what_holds_in_bold(page: str):
    section = page.partition('<section id="left-out">')[2].partition("</section>")[0]
    rows = re.findall(r"<span>without (\w+)</span>.*?<td>(.*?)</td>", section, re.DOTALL)

    assert rows == [
        ("raw", "<b>\u22123.2</b> <small>± 1.1</small>"),
        ("a", "<b>\u221221.3</b> <small>± 1.6</small>"),
        ("raw", "+0.4 <small>± 0.9</small>"),
        ("a", "<b>\u221233.7</b> <small>± 2.1</small>"),
    ]
    assert section.count("<svg") == 1


def test_without_a_mix_to_leave_sources_out_of_there_is_no_such_section():
    data = tables_only(sample.report_data())
    nothing = dataclasses.replace(data, left_out=data.left_out.clear())

    assert "left-out" not in report.render(nothing).split("</style>")[1]


def test_mixes_on_a_part_of_the_pool_are_points_and_not_rows(page: str):
    assert "@" not in page.split("</style>")[1]
    assert "smaller and larger pools" in page


HOSTILE = '<script>alert(1)</script><img src="http://evil.example/x.png" onerror=x>\u202e\x00'


def test_hostile_text_is_shown_and_never_run():
    data = sample.report_data()
    claim = contents.ClaimRow(HOSTILE, HOSTILE, "not reproduced", HOSTILE, HOSTILE)
    caption = contents.ExampleCaption(HOSTILE, HOSTILE, 0.5)
    taken = (contents.Taken(HOSTILE, 0, HOSTILE),)
    near = contents.NearImage(HOSTILE, sample.uid(0), sample.picture(0), 0.5, HOSTILE)
    row = pl.lit(HOSTILE).alias("mix")
    hostile = dataclasses.replace(
        data,
        run=dataclasses.replace(data.run, experiment=HOSTILE, pool=HOSTILE, machine=HOSTILE),
        sources=("raw", HOSTILE),
        leaderboard=data.leaderboard.filter(mix="raw").with_columns(row),
        mixes=data.mixes.filter(mix="raw").with_columns(row, description=pl.lit(HOSTILE)),
        shares=data.shares.filter(mix="raw").with_columns(row, source=pl.lit(HOSTILE)),
        left_out=data.left_out.filter(mix="best_of_two").with_columns(row, source=pl.lit(HOSTILE)),
        thresholds=data.thresholds.with_columns(row, source=pl.lit(HOSTILE)),
        rejects=data.rejects.with_columns(reason=pl.lit(HOSTILE)),
        claims=(claim,),
        examples=(contents.Example(sample.picture(0), (caption,), HOSTILE, sample.uid(0), taken),),
        strips=contents.Strips((contents.Strip((HOSTILE,), HOSTILE, 0.5, (near,), (near,)),)),
        against_raw=data.against_raw.with_columns(source=pl.lit(HOSTILE)),
        ancestries=(contents.Ancestry(HOSTILE, {f"curated_mixes/{HOSTILE}": ()}),),
        notes=(HOSTILE,),
    )

    page = report.render(hostile)
    parsed = _Page(page)

    assert "script" not in parsed.tags
    assert parsed.tags.count("img") == 1 + 2
    assert all(link.startswith(("data:image/", "#")) for link in parsed.links)
    assert all(target.startswith(("#", f"{GALLERY}/")) for target in parsed.targets)
    assert html.escape("<script>alert(1)</script>") in page


def test_text_direction_and_length_of_a_caption_stay_in_its_card():
    long = contents.ExampleCaption("raw", "\u202eword " * 5000, 0.1)
    data = contents.ReportData(
        run=sample.run_facts(),
        examples=(contents.Example(sample.picture(0), (long,), "00000", sample.uid(0)),),
    )

    page = report.render(data)

    assert len(page) < 60_000
    assert "\u202e" not in page
    assert "<bdi>" in page


def test_a_run_without_anything_says_so():
    parsed = _Page(report.render(contents.ReportData(run=sample.run_facts())))

    assert not parsed.open
    assert "nothing has been trained and evaluated yet" in parsed.text
    assert "No mix has results yet" in parsed.text
    assert "No caption has been scored yet" in parsed.text
    assert "No mix has been built yet" in parsed.text
    assert "Nothing was set aside" in parsed.text
    assert "svg" not in parsed.tags


def test_an_empty_pool_is_no_division_by_zero():
    facts = dataclasses.replace(sample.run_facts(), n_pool=0, n_usable=0)

    assert "Samples in the pool" in report.render(contents.ReportData(run=facts))


def test_one_seed_shows_no_deviation():
    text = _Page(report.render(tables_only(sample.report_data(n_seeds=1)))).text

    board = text[text.index("Leaderboard Every") : text.index("Average over tasks")]
    assert "one seed, so no deviation is known" in board
    assert "±" not in board
    assert "None" not in text
    assert "nan" not in text.split()


def test_a_mix_without_results_on_a_task_or_without_a_summary_leaves_gaps():
    data = tables_only(sample.report_data())
    board = data.leaderboard.filter(
        ~(pl.col("mix").eq("a") & pl.col("task").is_in(["average", "fine"]))
    )
    gappy = dataclasses.replace(
        data,
        leaderboard=board,
        mixes=data.mixes.filter(pl.col("mix") != "b"),
        shares=sample.shares().filter(pl.col("mix") != "b"),
        left_out=data.left_out.clear(),
        baseline="never_built",
    )

    page = report.render(gappy)
    text = _Page(page).text

    assert page.count('<span class="na">') == 2
    rows = re.findall(r'<th scope="row"><span class="name">.*?<span>(\w+)</span>', page)
    assert rows[-1] == "a", "without an average it comes last"
    assert "58.6 % on average ." in text or "58.6 % on average." in text


def test_the_baseline_being_best_is_not_compared_with_itself():
    data = dataclasses.replace(tables_only(sample.report_data()), baseline="raw_top30_a")

    assert "points above" not in report.render(data)


def test_thresholds_are_told_in_words():
    text = _Page(report.render(tables_only(sample.report_data()))).text

    assert "rules.1.where top 50 % a 0.4491 2,995 of 5,990 50.0 % 2" in text


@pytest.mark.parametrize(
    ("kind", "requested", "words"),
    [
        ("quantile", 0.3, "top 30 %"),
        ("size", 5000, "best 5,000"),
        ("absolute", 0.28, "score ≥ 0.28"),
    ],
)
def test_what_a_rule_asked_for(kind: str, requested: float, words: str):
    assert report._asked(kind, requested) == words


def test_an_example_that_is_no_image_is_refused():
    broken = contents.Example(b"<svg onload=x>", (), "00000", sample.uid(0))

    with pytest.raises(ValueError, match="no JPEG, PNG, GIF or WebP"):
        report.render(contents.ReportData(run=sample.run_facts(), examples=(broken,)))


def test_the_same_data_give_the_same_page(page: str):
    assert report.render(sample.report_data()) == page


def test_words_that_a_reader_may_not_know_are_said_where_they_stand() -> None:
    terms = {"fine": "which of 36 narrow classes", "cut-off": "what <top> comes to"}
    html = report.render(dataclasses.replace(sample.report_data(), terms=terms))
    assert '<abbr title="which of 36 narrow classes">fine</abbr>' in html
    assert '<abbr title="what &lt;top&gt; comes to">cut-offs</abbr>' in html
    assert "<dt>cut-off</dt><dd>what &lt;top&gt; comes to</dd>" in html
    assert '<section id="words">' not in report.render(
        dataclasses.replace(sample.report_data(), terms={})
    )


def test_the_words_are_those_of_the_experiment() -> None:
    tasks = {
        "narrow": {"kind": "embedded", "task": "fine", "samples": 36},
        "retrieval": {"kind": "embedded", "task": "retrieval", "samples": 12},
        "colour": {"kind": "embedded", "task": "colour", "samples": 12},
    }
    report_of = {**EXPERIMENT["report"], "fine_task": "narrow"}
    words = dict(terms_of(tiny_experiment(evaluation={"tasks": tasks}, report=report_of)))
    assert words["narrow"].startswith("evaluation: images of one object; which of 36")
    assert "retrieval" in words
    assert "colour" not in words
    assert {"cut-off", "realised", "score", "trigrams"} <= words.keys()


def test_a_card_says_uid_mix_and_rule_and_leads_to_the_gallery(page: str) -> None:
    card = page.split('<article class="example">')[2].partition("</article>")[0]
    uid = sample.uid(1).hex()
    assert f'href="{GALLERY}/pair/00000/{uid}"' in card
    assert f"<code>{uid[:12]}</code>" in card
    assert "<b>raw_top30_a</b> rules.1: a" in card
    assert "no mix takes it" in page.split('<article class="example">')[1]


def test_the_page_says_how_its_links_are_answered(page: str) -> None:
    words = page.partition('id="gallery">')[2].partition("</p>")[0]
    assert GALLERY in words
    assert "recap look" in words
    without = dataclasses.replace(
        tables_only(sample.report_data()), examples=(), strips=contents.Strips(), ancestries=()
    )
    assert 'id="gallery"' not in report.render(without)


def test_links_lead_where_a_server_has_its_gallery(page: str) -> None:
    moved = _Page(with_gallery_at(page, "/recap/look"))
    assert f"/recap/look/pair/00000/{sample.uid(0).hex()}" in moved.targets
    assert "/recap/look/lineage?asset=curated_mixes%2Fraw_top30" in moved.targets
    assert all(target.startswith(("#", "/recap/look/")) for target in moved.targets)
    assert f"the gallery at {GALLERY}" in moved.text


def test_a_strip_has_the_images_of_both_sides_with_score_and_text(page: str) -> None:
    strips = page.partition('<section id="cut-offs">')[2].partition("</section>")[0]
    text = _Page(strips).text
    assert "raw_top30, raw_top30_a: raw ≥ 0.3817" in text
    kept, _, missed = text.partition("Just missed")
    assert "0.3817 a red flamingo in front of a lake 0.3819" in kept
    assert "0.3816 a red flamingo in front of a lake 0.3811" in missed
    assert "3 more cut-offs are in the gallery" in text


def test_a_mix_is_drawn_with_all_that_it_is_built_from(page: str) -> None:
    drawn = page.partition('class="of-mix"')[2].partition("</details>")[0]
    assert re.findall(r"<title>([^<]+)</title>", drawn) == [
        "models/scorer", "raw_pool", "image_embeddings/clip", "clip_scores/clip/raw",
        "thresholds/raw_top30", "curated_mixes/raw_top30",
    ]  # fmt: skip
    assert drawn.count('class="edge"') == 5, "edges that others imply are left out"


def test_costs_are_by_stage_in_the_order_of_the_pipeline(page: str) -> None:
    table = page.partition('aria-label="Costs: By stage"')[2].partition("</table>")[0]
    assert _Page(table).text.split() == [
        *("By", "stage", "time", "on", "a", "GPU", "reused:", "time"),
        *("pool", "4.0", "s", "–", "–"), *("captions", "90", "s", "80", "s", "30", "s"),
        *("mixes", "0.5", "s", "–", "–"), *("all", "94", "s", "80", "s", "30", "s"),
    ]  # fmt: skip
