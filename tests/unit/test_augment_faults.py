"""Faults into rows: every formula against its cell-by-cell twin, exact labels, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from naive_faults import DETERMINISTIC, naive_course, plant_rows

from sensorad.augment.faults import FAULTS, Fault, SensorStatistics, amount_of, fault_kind, inject, severity_of
from sensorad.errors import TooLittleDataError, UsageError

INTERFACE = (
    *("bias", "drift", "gain", "spike", "stuck", "dropout", "noise", "intermittent"),
    *("lag", "correlation", "frequency", "saturation", "quantisation", "oscillation"),
)
ROWS = plant_rows(1000, 5)
STATISTICS = SensorStatistics.fit(ROWS)
FORMS = [(name, form) for name, kind in FAULTS.items() for form in (kind.forms or ("",))]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def example(name: str, form: str = "", sign: int = 1, severity: float | None = None, start: int = 400) -> Fault:
    kind = FAULTS[name]
    sensors = (1, 3) if form == "swap" else (1,)
    severity = (kind.low * kind.high) ** 0.5 if severity is None else severity
    return Fault(name, sensors, start, kind.most_rows or 80, severity, sign, form)


def test_there_are_the_fourteen_kinds_of_the_interface() -> None:
    assert tuple(FAULTS) == INTERFACE
    assert all(name == kind.name and 0 < kind.low < kind.high for name, kind in FAULTS.items())
    assert [name for name, kind in FAULTS.items() if kind.grows_with == "down"] == ["saturation"]
    with pytest.raises(UsageError, match="did you mean 'quantisation'"):
        fault_kind("quantization")


@pytest.mark.parametrize("name", [*DETERMINISTIC, "swap"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_course_is_the_formula_and_the_mask_what_changed(name: str, sign: int) -> None:
    fault = example("correlation", "swap", sign) if name == "swap" else example(name, sign=sign)
    injected = inject(ROWS, [fault], STATISTICS, rng())
    assert not injected.missing.any()
    for sensor in range(ROWS.shape[1]):
        expected = naive_course(ROWS, fault, sensor, STATISTICS) if sensor in fault.sensors else {}
        for row in range(len(ROWS)):
            assert injected.rows[row, sensor] == pytest.approx(expected.get(row, ROWS[row, sensor]), rel=1e-12)
            assert injected.mask[row, sensor] == (injected.rows[row, sensor] != ROWS[row, sensor])
            assert row in expected or not injected.mask[row, sensor]


@pytest.mark.parametrize(("name", "form"), FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kind_labels_exactly_what_it_changed(name: str, form: str, dtype: type) -> None:
    rows = ROWS.astype(dtype)
    rows[::7, 1] = np.nan  # missing before, missing after, never faulty
    before = rows.copy()
    for sign in (1, -1):
        fault = example(name, form, sign)
        injected = inject(rows, [fault], STATISTICS, rng(2))
        np.testing.assert_array_equal(rows, before)
        assert injected.rows.dtype == dtype
        outside = np.ones(rows.shape, bool)
        outside[fault.start : fault.start + fault.length, list(fault.sensors)] = False
        assert not injected.mask[outside].any()
        np.testing.assert_array_equal(injected.mask, np.isfinite(rows) & ~(injected.rows == rows))
        np.testing.assert_array_equal(injected.rows[~injected.mask], rows[~injected.mask])
        np.testing.assert_array_equal(injected.missing, injected.mask & np.isnan(injected.rows))
        assert injected.missing.any() == (form == "missing")
        assert injected.mask[:, list(fault.sensors)].any(axis=0).all()


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_the_seed_decides_and_nothing_else(name: str, form: str) -> None:
    fault = example(name, form)
    first, again, other = (inject(ROWS, [fault], STATISTICS, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rows, again.rows)
    is_random = name not in DETERMINISTIC and form != "swap"
    assert np.array_equal(first.rows, other.rows, equal_nan=True) is not is_random


def test_random_kinds_have_the_size_that_they_are_asked_for() -> None:
    length = 900
    clean = ROWS[50 : 50 + length, 1]

    def change(fault: Fault) -> np.ndarray:
        return inject(ROWS, [fault], STATISTICS, rng(5)).rows[50 : 50 + length, 1] - clean

    noise = change(Fault("noise", (1,), 50, length, 4.0))
    assert noise.std() == pytest.approx(4.0 * STATISTICS.residual_sigma[1], rel=0.06)
    assert abs(noise.mean()) < 0.4 * STATISTICS.residual_sigma[1]
    swing = change(Fault("oscillation", (1,), 50, length, 2.0, period=30.0))
    assert np.abs(swing).max() == pytest.approx(2.0 * STATISTICS.sigma[1], rel=0.01)
    assert np.abs(np.fft.rfft(swing)).argmax() == length / 30
    for share in (0.1, 0.37, 0.5):
        bursts = change(Fault("intermittent", (1,), 50, length, share, -1))
        hit = bursts != 0
        assert hit.sum() == round(share * length)
        np.testing.assert_allclose(bursts[hit], -3.0 * STATISTICS.sigma[1])
        n_bursts = np.count_nonzero(np.diff(hit.astype(int), prepend=0) == 1)
        assert 1 < n_bursts < hit.sum() / 3, "rows in bursts, not one by one and not all at once"
    lost = inject(ROWS, [Fault("dropout", (1,), 50, length, 0.4)], STATISTICS, rng()).rows[50 : 50 + length, 1]
    assert np.count_nonzero(lost != clean) in (359, 360), "a row may be at the minimum anyway"
    assert set(lost[lost != clean]) == {STATISTICS.minimum[1]}
    zero = change(Fault("dropout", (1,), 50, length, 1.0, form="zero")) + clean
    assert not zero.any()


def test_a_donor_is_the_sensors_own_course_of_another_time() -> None:
    fault = Fault("correlation", (1, 2), 400, 80, 1.0)
    lent = inject(ROWS, [fault], STATISTICS, rng(3)).rows[400:480, 1:3]
    starts = [row for row in range(len(ROWS) - 79) if np.array_equal(ROWS[row : row + 80, 1:3], lent)]
    assert len(starts) == 1
    assert starts[0] <= 320 or starts[0] >= 480
    weak = inject(ROWS, [Fault("correlation", (1, 2), 400, 80, 0.5)], STATISTICS, rng(3)).rows[400:480, 1:3]
    centre = STATISTICS.centre[1:3]
    expected = 0.75**0.5 * (ROWS[400:480, 1:3] - centre) + 0.5 * (lent - centre) + centre
    np.testing.assert_allclose(weak, expected)


def test_severity_grows_the_change() -> None:
    for name, kind in FAULTS.items():
        sizes = []
        for severity in (kind.low, kind.high):
            fault = Fault(name, (1,), 400, kind.most_rows or 120, severity, period=20.0 * (name == "oscillation"))
            sizes.append(np.abs(inject(ROWS, [fault], STATISTICS, rng(9)).rows - ROWS).sum())
        assert (sizes[1] > sizes[0]) == (kind.grows_with == "up"), name


def test_several_faults_at_once_and_one_on_another() -> None:
    faults = [Fault("bias", (0,), 100, 50, 2.0), Fault("noise", (4,), 120, 50, 3.0), Fault("bias", (0,), 140, 20, 1.0)]
    injected = inject(ROWS, faults, STATISTICS, rng())
    assert injected.mask[:, 0].sum() == 60
    assert injected.mask[:, 4].sum() == 50
    assert injected.rows[145, 0] - ROWS[145, 0] == pytest.approx(3.0 * STATISTICS.sigma[0])
    back = [Fault("bias", (0,), 100, 50, 2.0), Fault("bias", (0,), 100, 50, 2.0, -1)]
    undone = inject(np.round(ROWS), back, SensorStatistics.fit(np.round(ROWS)), rng(), resolution=np.ones(5))
    assert not undone.mask.any(), "a cell that has its old value again is not faulty"


def test_values_are_rounded_to_the_resolution_before_they_are_labelled() -> None:
    rows = np.round(ROWS)
    resolution = np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    statistics = SensorStatistics.fit(rows)
    small = 0.7 / statistics.sigma[1]
    injected = inject(rows, [Fault("drift", (1,), 400, 80, small)], statistics, rng(), resolution=resolution)
    assert set(np.unique(injected.rows[:, 1] - rows[:, 1])) == {0.0, 1.0}
    assert injected.mask[400:480, 1].sum() == np.count_nonzero(np.arange(1, 81) / 80 * 0.7 > 0.5)
    with pytest.raises(UsageError, match="changes nothing at sensor 1"):
        inject(rows, [Fault("bias", (1,), 400, 80, 0.5 * small)], statistics, rng(), resolution=resolution)


NAMES = ("flow", "power", "temp", "level", "lamp")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("bias", (4,), 400, 10, 2.0), ["changes nothing", "bias of lamp in rows 400 to 409", "never moves"]),
        (Fault("stuck", (3,), 600, 20, 20.0), ["changes nothing", "stuck of level", "choose another time"]),
        (Fault("stuck", (1, 3), 600, 20, 20.0), ["changes nothing at sensor level"]),
        (Fault("saturation", (1,), 400, 10, 50.0), ["changes nothing", "within the limit"]),
        (Fault("bias", (2,), 700, 10, 2.0), ["changes nothing at sensor temp", "missing there"]),
        (Fault("dropout", (3,), 600, 1, 1.0), ["changes nothing at sensor level"]),
        (Fault("lag", (1,), 5, 10, 8.0), ["lag of 8 rows", "there are 5", "rows 5 to 14"]),
        (Fault("correlation", (1,), 200, 600, 1.0), ["donor of 600 rows", "shorter"]),
        (Fault("bias", (1,), 995, 10, 2.0), ["after the last of 1,000 rows"]),
        (Fault("bias", (9,), 400, 10, 2.0), ["there are 5 sensors"]),
        (Fault("correlation", (1, 4), 400, 10, 1.0, form="swap"), ["changes nothing at sensor"]),
    ],
)
def test_what_would_change_nothing_is_refused_by_name(fault: Fault, words: list[str]) -> None:
    rows = ROWS.copy()
    rows[:, 4] = 1.0
    rows[590:630, 3] = rows[:, 3].min() - 1.0
    rows[700:710, 2] = np.nan
    with pytest.raises(UsageError) as refusal:
        inject(rows, [fault], SensorStatistics.fit(rows), rng(), names=NAMES)
    assert not [word for word in words if word not in str(refusal.value)], str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "bais"}, "did you mean 'bias'"),
        ({"sensors": ()}, "one sensor or several"),
        ({"sensors": (1, 1)}, "one sensor or several"),
        ({"start": -1}, "from row 0 on"),
        ({"length": 0}, "1 or more rows"),
        ({"kind": "spike", "length": 4}, "1 to 3 rows.*a bias"),
        ({"severity": -1.0}, "must be positive"),
        ({"severity": float("nan")}, "must be finite"),
        ({"sign": 0}, "1 or -1"),
        ({"form": "swap"}, "bias has no form 'swap'.*none"),
        ({"kind": "dropout", "severity": 1.0, "form": "lost"}, "minimum, zero, missing"),
        ({"kind": "dropout", "severity": 1.2}, r"share in \(0, 1\]"),
        ({"kind": "gain", "severity": 1.0}, "factor of 1"),
        ({"kind": "correlation", "severity": 1.0, "form": "swap"}, "between two sensors"),
        ({"kind": "stuck", "severity": 60.0}, "does not fit a stretch of 20"),
        ({"period": 10.0}, "bias cannot have a period of 10 rows"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Fault(**({"kind": "bias", "sensors": (1,), "start": 3, "length": 20, "severity": 2.0} | settings))


@pytest.mark.parametrize("name", [name for name, kind in FAULTS.items() if kind.in_engineering_units])
@pytest.mark.parametrize("sign", [1, -1])
def test_amounts_are_in_the_unit_of_the_sensor(name: str, sign: int) -> None:
    amount = {"saturation": 55.0}.get(name, 2.5)
    severity = severity_of(name, amount, STATISTICS, 1, sign)
    assert amount_of(name, severity, STATISTICS, 1, sign) == pytest.approx(amount)
    fault = Fault(name, (1,), 60, FAULTS[name].most_rows or 900, severity, sign, period=20.0 * (name == "oscillation"))
    course = inject(ROWS, [fault], STATISTICS, rng()).rows[60 : 60 + fault.length, 1]
    change = course - ROWS[60 : 60 + fault.length, 1]
    if name == "saturation":
        assert (course.max() if sign > 0 else course.min()) == pytest.approx(55.0)
    elif name == "noise":
        assert change.std() == pytest.approx(2.5, rel=0.06)
    elif name == "quantisation":
        assert np.diff(np.unique(course.round(9))).min() == pytest.approx(2.5)
    elif name == "oscillation":
        assert np.abs(change).max() == pytest.approx(2.5, rel=0.02)
    else:
        assert change[-1] == pytest.approx(sign * 2.5)


def test_amounts_that_mean_nothing_are_refused() -> None:
    still = SensorStatistics.fit(np.ones((10, 2)))
    for name, statistics, words in (("lag", STATISTICS, "severity \\(rows\\)"), ("bias", still, "never moved")):
        with pytest.raises(UsageError, match=words):
            severity_of(name, 2.0, statistics, 1)


def test_statistics_are_those_of_the_usable_rows() -> None:
    rows = ROWS.copy()
    rows[3] = np.inf
    usable = np.ones(rows.shape, bool)
    rows[10:20] = 1e9
    usable[10:20] = False
    found = SensorStatistics.fit(rows, usable)
    kept = np.delete(ROWS, [3, *range(10, 20)], axis=0)
    for name, expected in (
        ("centre", kept.mean(axis=0)),
        ("sigma", kept.std(axis=0)),
        ("low", np.quantile(kept, 0.05, axis=0)),
        ("high", np.quantile(kept, 0.95, axis=0)),
        ("minimum", kept.min(axis=0)),
        ("maximum", kept.max(axis=0)),
    ):
        np.testing.assert_allclose(getattr(found, name), expected)
    np.testing.assert_allclose(found.residual_sigma, 0.2, rtol=0.25)
    windows = ROWS.reshape(20, 50, 5)
    np.testing.assert_allclose(SensorStatistics.fit(windows).sigma, ROWS.std(axis=0))
    np.testing.assert_allclose(SensorStatistics.fit(windows).residual_sigma, found.residual_sigma, rtol=0.1)


def test_noise_is_not_the_load_and_not_lost_in_coarse_steps() -> None:
    steps = np.repeat(rng().normal(0.0, 10.0, 100), 50)[:, None]
    assert SensorStatistics.fit(steps + 0.1 * rng(1).normal(size=steps.shape)).residual_sigma == pytest.approx(
        0.1, rel=0.1
    )
    seldom = (rng(2).random((5000, 1)) < 0.1).astype(float)
    assert SensorStatistics.fit(seldom).residual_sigma[0] > 0.1
    assert SensorStatistics.fit(seldom).reach[0] == 1.0
    rare = (rng(2).random((5000, 1)) < 0.01).astype(float)
    assert SensorStatistics.fit(rare).reach[0] == 1.0, "a sensor outside whose 5-95 % range all its movement lies"


def test_statistics_refuse_what_is_none() -> None:
    with pytest.raises(TooLittleDataError, match="need rows"):
        SensorStatistics.fit(np.zeros((0, 3)))
    with pytest.raises(UsageError, match="expected rows"):
        SensorStatistics.fit(np.zeros(3))
    with pytest.raises(UsageError, match="finite"):
        SensorStatistics(*[np.full(2, np.nan)] * 7)
    with pytest.raises(UsageError, match="negative"):
        SensorStatistics(np.zeros(2), -np.ones(2), *[np.zeros(2)] * 5)
    nothing = SensorStatistics.fit(np.full((9, 2), np.nan))
    assert not nothing.sigma.any()
    with pytest.raises(UsageError, match=r"expected rows \(T, 2\)"):
        inject(ROWS, [], nothing, rng())


def test_the_gallery_of_the_documents_shows_every_kind() -> None:
    figure = Path(__file__).parents[2] / "docs" / "figures" / "fault-gallery.svg"
    text = figure.read_text()
    assert not [name for name in FAULTS if f">{name}</text>" not in text], "run tests/benchmarks/draw_fault_gallery.py"
    assert len(text) < 150_000
