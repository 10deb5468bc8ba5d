"""The tables that people read: Markdown whose columns also line up on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .measures import BUFFER, MERGE_GAP
from .methods import CLOCK, METHODS
from .plant_trial import BUDGET, SETTLING_HOURS
from .summary import Figure, MethodRows, PairedDifference, by_method, paired_differences, split_faults
from .tasks import BENCH_SETS, PLANT, TEP
from .tep import FIRST_FAULTY, UNDETECTABLE

__all__ = ["document", "markdown", "set_table", "sets_of"]

MEASURED = f"""\
VUS-PR and VUS-ROC have buffers up to {BUFFER} rows, as earlier studies on these sets; "period" is the period of each
series instead. Recall is the share of labelled events found at 1 false-alarm event per 10,000 normal rows (at none in
a series with fewer), with alarms at most {MERGE_GAP} rows apart taken as one. "found" and "false/day" are what the
method's own line gives, which knows no label; a false alarm opens on a normal row. "top-1" is the share of labelled
causes whose most blamed sensor is among the labelled ones. All scores are causal and all statistics come from the
training part; rows without a score keep the last one. Figures are means over series, and over seeds with
their standard deviation. Seconds are processor time of one series, on one thread."""

NOTES = {
    "skab": "Most files turn anomalous near row 570: read these figures beside those of `clock`.",
    "smd": "Machines differ from 0.1 to 0.9: compare methods in pairs only.",
    "msl": "Labels are coarse and disputed.",
    "smap": "Labels are coarse and disputed.",
    "cwru": "The level of the vibration alone tells the recordings apart: a smoke test.",
    "nonlinear": "Simulated: faults break relations between sensors that no straight line describes, and nothing else.",
    "ai4i2020": "Rows are independent products: methods that look back in time have nothing to see.",
    "cmapss_fd001": "No published label: at most 30 flights left counts as anomalous, more than 125 as normal.",
}


def document(rows: Sequence[Mapping[str, Any]], sets: Sequence[str], notes: Sequence[str] = ()) -> str:
    """All tables of the given sets, with what was measured and which methods took part."""
    parts = ["# Benchmark", *(f"> {note}" for note in notes), MEASURED]
    parts += [set_table(rows, name) for name in sets]
    used = {row["method"] for row in rows if row["set"] in sets}
    legend = [f"- `{method.name}`: {method.what}" for method in METHODS.values() if method.name in used]
    return "\n\n".join([*parts, "## Methods", "\n".join(legend)]) + "\n"


def sets_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sets that have rows, in the usual order."""
    known = {row["set"] for row in rows}
    return [name for name in BENCH_SETS if name in known]


def set_table(rows: Sequence[Mapping[str, Any]], set_name: str) -> str:
    """Heading, table and comparisons of one set."""
    methods = by_method(rows, set_name)
    make = {TEP: _tep_parts, PLANT: _plant_parts}.get(set_name, _series_parts)
    parts = [f"## {set_name}", *make(methods)]
    if set_name in NOTES:
        parts.append(NOTES[set_name])
    counts = {method.method: method.n_series for method in methods}
    short = [f"{name} ({n})" for name, n in counts.items() if n < max(counts.values())]
    if short:
        parts.append(f"Means over fewer series than the others, not comparable: {', '.join(short)}.")
    return "\n\n".join(parts)


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded cells, the first column to the left and the others to the right.

    Examples
    --------
    >>> print(markdown(["method", "VUS-PR"], [["linear", "0.560"]]))
    | method | VUS-PR |
    |:-------|-------:|
    | linear |  0.560 |
    """
    widths = [max(len(line[place]) for line in [head, *body]) for place in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), f"|{'|'.join(rule)}|", *map(line, body)])


def _series_parts(methods: Sequence[MethodRows]) -> list[str]:
    head = ["method", "n", "VUS-PR", "period", "VUS-ROC", "AUC-PR", "AUC-ROC", "recall", "found", "false/day"]
    head += ["top-1", "fit s", "score s"]
    body = [
        [
            method.method,
            str(method.n_series),
            _number(method.figure("vus_pr")),
            *(_number(method.figure(name), spread=False) for name in ("vus_pr_period", "vus_roc", "auc_pr", "auc_roc")),
            _number(method.figure("recall_at_1_per_10k"), spread=False),
            _of(method, "n_found", "n_events"),
            _number(method.ratio("n_false", "normal_days"), spread=False, digits=2),
            _number(method.ratio("n_top1", "n_causes"), spread=False, digits=2),
            _number(method.figure("fit_seconds"), spread=False, digits=2),
            _number(method.figure("score_seconds"), spread=False, digits=2),
        ]
        for method in methods
    ]
    longest = max(methods, key=lambda method: method.n_series)
    rate, chance = longest.figure("base_rate"), longest.figure("top1_chance")
    facts = f"{longest.n_series} series, mean base rate {_number(rate, spread=False)}"
    facts += f", top-1 by chance {_number(chance, digits=2, spread=False)}" if chance else ""
    parts = [facts + ".", markdown(head, body)]
    parts += _position_bias(methods, rate)
    return parts + _comparison(paired_differences(methods, "vus_pr"))


def _position_bias(methods: Sequence[MethodRows], rate: Figure | None) -> list[str]:
    """The warning that a set can be won without a look at any sensor."""
    told = {method.method: figure.mean for method in methods if (figure := method.figure("vus_pr")) is not None}
    blind = {name: told.pop(name) for name in (CLOCK, "row-index") if name in told}
    if not blind or not told or rate is None:
        return []
    name = max(blind, key=blind.__getitem__)
    if blind[name] < max(0.75 * max(told.values()), rate.mean + 0.2):
        return []
    return [f"**Position alone** (`{name}`) reaches {blind[name]:.3f} here: anomalies stand at much the same rows."]


def _comparison(differences: Sequence[PairedDifference]) -> list[str]:
    if not differences:
        return []
    body = [
        [
            f"{found.method} - {found.other}",
            f"{found.mean:+.3f}",
            f"{found.low:+.3f} .. {found.high:+.3f}",
            f"{found.n_wins} of {found.n_series}",
        ]
        for found in differences
    ]
    return [
        "Paired differences of VUS-PR, with a 95 % bootstrap interval over series:",
        markdown(["difference", "mean", "interval", "better on"], body),
    ]


def _tep_parts(methods: Sequence[MethodRows]) -> list[str]:
    """Detection rates by fault and in the mean, at the line that alarms on 1 % of the normal test file."""
    faults = sorted({str(row["series"]) for method in methods for row in method.rows})
    head = ["method", "detectable", "3, 9, 15", "false alarms", "delay", *faults, "fit s"]
    body = []
    for method in methods:
        easy, hard = split_faults(method)
        rates = method.by_series("detection_rate")
        delays = sorted(easy.by_series("delay_rows").values())
        body.append(
            [
                method.method,
                _number(easy.figure("detection_rate")),
                _number(hard.figure("detection_rate"), spread=False),
                _percent(method.ratio("n_false_rows", "n_normal_rows")),
                f"{delays[len(delays) // 2]:.0f}" if delays else "-",
                *(f"{rates[fault]:.2f}" if fault in rates else "-" for fault in faults),
                _number(method.figure("fit_seconds"), spread=False, digits=2),
            ]
        )
    n_easy = len(faults) - sum(fault in faults for fault in UNDETECTABLE)
    text = (
        f"Detection rate at the 99 % quantile of the scores of d00's test file: mean over the {n_easy} detectable "
        f"faults, and over those that nobody detects. False alarms: share of the scored rows before row {FIRST_FAULTY} "
        "of the fault files. Delay: rows to the first alarm, median over the detectable faults that were found."
    )
    return [text, markdown(head, body)]


def _plant_parts(methods: Sequence[MethodRows]) -> list[str]:
    """A promise kept or broken, and what was found."""
    head = ["method", "plants", "alarms", "days", "per day", "found", "blamed", "false", "false/day", "delay", "fit s"]
    body = [
        [
            method.method,
            str(method.n_series),
            f"{method.total('n_normal_alarms') or 0:.0f}",
            f"{method.total('normal_days') or 0:.0f}",
            _number(method.ratio("n_normal_alarms", "normal_days"), digits=2),
            _of(method, "n_found", "n_faults"),
            _of(method, "n_blamed", "n_found"),
            f"{method.total('n_false') or 0:.0f}",
            _number(method.ratio("n_false", "false_days"), digits=2, spread=False),
            _number(method.figure("delay_median_rows"), digits=1, spread=False),
            _number(method.figure("fit_seconds"), digits=1, spread=False),
        ]
        for method in methods
    ]
    text = (
        f"Simulated plants, each fitted on 28 normal days and calibrated on 14 others for {BUDGET}. First alarms on 28 "
        "fresh normal days; then 28 days with 28 faults: those found, those found with the right sensor among the "
        f"first three blamed, and false alarms (none are counted for {SETTLING_HOURS:g} hours after a process fault). "
        "Delay in rows of a minute."
    )
    parts = [text, markdown(head, body)]
    for method in methods:
        missed = [family for row in method.rows for family in row.get("missed") or ()]
        if missed:
            counts = {family: missed.count(family) for family in sorted(set(missed))}
            parts.append(f"{method.method} missed: {', '.join(f'{name} {n}' for name, n in counts.items())}.")
    return parts


def _number(figure: Figure | None, *, digits: int = 3, spread: bool = True) -> str:
    if figure is None:
        return "-"
    text = f"{figure.mean:.{digits}f}" if figure.mean < 10_000 else f"{figure.mean:.1e}"
    return f"{text} ± {figure.spread:.{digits}f}" if spread and figure.spread is not None else text


def _percent(figure: Figure | None) -> str:
    return "-" if figure is None else f"{100 * figure.mean:.1f} %"


def _of(method: MethodRows, part: str, whole: str) -> str:
    """Sums over all series, and over seeds, as "found / all"."""
    found = method.total(part)
    known = sum(float(row[whole]) for row in method.rows if row.get(part) is not None)
    return "-" if found is None else f"{found:.0f} / {known:.0f}"
