"""``sensorad inject``: exact labels, everything else as it was, and every mistake in one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_process import SENSORS, START, STEP, Run, cli, left_in, make_log

from sensorad.augment.faults import FAULTS
from sensorad.logs import SensorLog, read_labels
from sensorad_cli.main import main

BIAS = ("--fault", "bias", "--sensor", "flow", "--start", "2024-05-01T06:00Z", "--duration", "1h")
ROWS = slice(360, 420)


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, with log.parquet and log.csv: a day of the pump."""
    monkeypatch.chdir(tmp_path)
    log = make_log(1440, seed=3)
    log.to_parquet("log.parquet")
    log.to_csv("log.csv", index=False)
    return tmp_path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], plant: Path, monkeypatch: pytest.MonkeyPatch):
    """The command within this process: the same lines and codes, without the start of an interpreter."""
    monkeypatch.setenv("COLUMNS", "300")

    def inject(*args: object) -> Run:
        capfd.readouterr()
        code = main(["inject", *map(str, args)])
        return Run(code, *capfd.readouterr())

    return inject


def values(path: str) -> np.ndarray:
    return pd.read_parquet(path)[list(SENSORS)].to_numpy()


def test_a_described_fault_changes_its_cells_and_marks_their_rows(plant: Path) -> None:
    args = ("inject", "log.parquet", "-o", "out.parquet", *BIAS, "--severity", "1.5", "--labels", "labels.parquet")
    said = cli(*args, cwd=plant).ok()
    assert said.out == ""
    for words in ("bias", "flow", "2024-05-01T06:00:00Z to 2024-05-01T06:59:00Z", "1.5 sigma", "60 of 1,440", "labels"):
        assert words in said.err
    before, after = pd.read_parquet("log.parquet"), pd.read_parquet("out.parquet")
    sigma = before["flow"].std(ddof=0)
    np.testing.assert_allclose((after["flow"] - before["flow"])[ROWS], 1.5 * sigma)
    assert after["fault"].dtype == np.int8
    assert np.flatnonzero(after["fault"]).tolist() == list(range(360, 420))
    after.loc[ROWS.start : ROWS.stop - 1, "flow"] = before["flow"][ROWS]
    pd.testing.assert_frame_equal(after.drop(columns="fault"), before)
    assert SensorLog("out.parquet").notes == [], "pages have checksums"
    labels = read_labels("labels.parquet")
    assert labels.kind == ("bias",)
    assert pd.Timestamp(labels.start[0], tz="UTC") == START + 360 * STEP
    assert pd.Timestamp(labels.end[0], tz="UTC") == START + 419 * STEP
    assert left_in(plant) == {"log.parquet", "log.csv", "out.parquet", "labels.parquet"}


def test_random_faults_of_all_kinds_mark_exactly_the_rows_that_changed(run, plant: Path) -> None:
    log = make_log(6000, seed=4)
    log.loc[1000:1100, "flow"] = np.nan
    log.to_parquet("log.parquet")
    args = ("log.parquet", "--random", 28, "--seed", 5, "--labels", "labels.csv", "--json")
    data = json.loads(run(*args, "-o", "out.parquet").ok().out)
    assert sorted(fault["kind"] for fault in data["faults"]) == sorted([*FAULTS] * 2)
    before, after = values("log.parquet"), values("out.parquet")
    is_missing = np.isnan(before)
    assert not (is_missing & ~np.isnan(after)).any(), "a fault fills no gap"
    changed = ~is_missing & ~(before == after)
    flags = pd.read_parquet("out.parquet")["fault"].to_numpy() == 1
    np.testing.assert_array_equal(flags, changed.any(axis=1))
    assert data["faulty_rows"] == flags.sum()
    assert data["faulty_cells"] == changed.sum()
    labels = pd.read_csv("labels.csv", parse_dates=["start", "end"])
    assert labels["kind"].tolist() == [fault["kind"] for fault in data["faults"]]
    rest = flags.copy()
    for label in labels.itertuples():
        first, last = (round((time - START) / STEP) for time in (label.start, label.end))
        sensors = [SENSORS.index(name) for name in label.sensors.split(";")]
        assert changed[first, sensors].any()
        assert changed[last, sensors].any()
        rest[first : last + 1] = False
    assert not rest.any(), "every faulty row belongs to a label"
    again = run(*args, "-o", "again.parquet", "--force").ok()
    assert json.loads(again.out)["faults"] == data["faults"]
    assert Path("again.parquet").read_bytes() == Path("out.parquet").read_bytes()
    other = json.loads(run("log.parquet", "--random", 28, "--seed", 6, "-o", "other.parquet", "--json").ok().out)
    assert other["faults"] != data["faults"]


def test_columns_types_and_metadata_of_parquet_stay(run, plant: Path) -> None:
    log = make_log(1440, seed=3)
    table = pa.table(
        {
            "time": pa.array(log["time"]).cast(pa.timestamp("ms", "Europe/Berlin")),
            "counts": pa.array(log["flow"].round().astype("int16")),
            "power": pa.array(log["power"].astype("float32")),
            "cents": pa.array(log["temp"].round(2)).cast(pa.decimal128(9, 2)),
            "open": pa.array(log["flow"] > 50),
            "text": pa.array(log["level"].astype(str)),
            "level": pa.array(log["level"].round(2).astype(str)).dictionary_encode(),
            "note": pa.array([["a"], None] * 720),
            "mode": pa.array(["run", "=idle"] * 720).dictionary_encode(),
        }
    )
    fields = [table.schema.field(name) for name in table.column_names]
    fields[2] = fields[2].with_metadata({"unit": "kW", "high": "99"})
    table = table.cast(pa.schema(fields, {"plant": "north"}))
    pq.write_table(table, "log.parquet")
    table = pq.read_table("log.parquet")
    sensors = ("counts", "power", "cents", "text", "level")
    run("log.parquet", "-o", "out.parquet", *BIAS[:2], *BIAS[4:], "--sensor", ",".join(sensors), "--amount", 1.26).ok()
    out = pq.read_table("out.parquet")
    assert out.column_names == [*table.column_names, "fault"]
    assert out.schema.metadata[b"plant"] == b"north"
    assert out.schema.field("power").metadata[b"unit"] == b"kW"
    for name in table.column_names:
        assert out.schema.field(name).type == table.schema.field(name).type
        if name not in sensors:
            assert out[name].equals(table[name])
            continue
        before, after = table[name].to_pylist(), out[name].to_pylist()
        assert (after[:360], after[420:]) == (before[:360], before[420:])
        change = [float(one) - float(other) for one, other in zip(after[ROWS], before[ROWS], strict=True)]
        np.testing.assert_allclose(change, 1.0 if name == "counts" else 1.26, atol=1e-5)
    flag = run(
        "log.parquet", "-o", "flag.parquet", "--fault", "stuck", *BIAS[4:6], "--duration", "9h", "--sensor", "open"
    )
    assert flag.ok()
    was, now = table["open"].to_pylist(), pq.read_table("flag.parquet")
    assert set(now["open"].to_pylist()[360:900]) == {was[360]}
    assert now["fault"].to_pylist() == [int(a != b) for a, b in zip(now["open"].to_pylist(), was, strict=True)]


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.csv.gz"])
def test_the_text_of_a_csv_log_stays_but_for_faulty_cells(run, plant: Path, name: str) -> None:
    log = make_log(1440, seed=3)
    log["remark"] = ['say "hi", twice', "=1+1", ""] * 480
    log.loc[400:405, "flow"] = np.nan
    options = {"log.tsv": {"sep": ";", "lineterminator": "\r\n"}}.get(name, {})
    log.to_csv(name, index=False, **options)
    out = f"out{name[3:]}"
    run(name, "-o", out, *BIAS, "--severity", "2").ok()

    def lines(path: str) -> list[str]:
        data = Path(path).read_bytes()
        return (gzip.decompress(data) if path.endswith(".gz") else data).decode().split("\n")[:-1]

    end = "\r" if name == "log.tsv" else ""
    comma = ";" if name == "log.tsv" else ","
    for number, (before, after) in enumerate(zip(lines(name), lines(out), strict=True)):
        row, is_gap = number - 1, 400 <= number - 1 <= 405
        flag = "fault" if not number else str(int(ROWS.start <= row < ROWS.stop and not is_gap))
        if flag != "1":
            assert after == before.removesuffix(end) + comma + flag + end
        else:
            assert after.endswith(comma + flag + end)
            first, second = after.split(comma), before.split(comma)
            assert (first[0], first[2:6]) == (second[0], second[2:6])
            assert float(first[1]) > float(second[1]) + 5


def test_a_fault_goes_to_one_machine_and_is_measured_by_its_rows(run, plant: Path) -> None:
    one, two = (make_log(1440, seed=seed).assign(machine=name) for seed, name in ((1, "pump 1"), (2, "=pump")))
    two["flow"] *= 10
    log = pd.concat([one, two]).sort_values("time", kind="stable", ignore_index=True)
    log.to_parquet("log.parquet")
    args = ("log.parquet", "-o", "out.parquet", *BIAS, "--severity", 1, "--group", "machine")
    refused = run(*args).refused(2, "E_USAGE", "2 machines", "--machine", "pump 1, =pump")
    assert "log.parquet" in refused
    run(*args, "--machine", "=pump", "--labels", "labels.parquet").ok()
    after = pd.read_parquet("out.parquet")
    change = after["flow"] - log["flow"]
    hit = after["fault"] == 1
    assert hit.sum() == 60
    assert set(after["machine"][hit]) == {"=pump"}
    np.testing.assert_allclose(change[hit], two["flow"].std(ddof=0))
    assert not change[~hit].any()
    labels = pd.read_parquet("labels.parquet")
    assert labels["machine"].tolist() == ["=pump"]
    run("log.parquet", "-o", "some.parquet", "--random", 12, "--group", "machine", "--labels", "some.csv").ok()
    assert set(pd.read_csv("some.csv")["machine"]) == {"pump 1", "'=pump"}, "CSV is safe for spreadsheets"
    assert "repeat a time" in run("log.parquet", "-o", "x.parquet", *BIAS, "--severity", 1).ok().err


def test_local_times_mean_the_zone_of_the_log(run, plant: Path) -> None:
    log = make_log(1440, seed=3)
    log["time"] = log["time"].dt.tz_localize(None)
    log.to_csv("naive.csv", index=False)
    start = ("--start", "2024-05-01 06:00")
    args = ("naive.csv", "-o", "out.csv", *BIAS[:4], *BIAS[6:], "--severity", 2, "--time-zone", "Europe/Berlin")
    said = run(*args, *start).ok().err
    assert "2024-05-01T04:00:00Z to 2024-05-01T04:59:00Z" in said
    assert np.flatnonzero(pd.read_csv("out.csv")["fault"]).tolist() == list(range(360, 420))
    run(*args, "--start", "2024-05-01T04:00Z", "--force").ok()
    assert np.flatnonzero(pd.read_csv("out.csv")["fault"]).tolist() == list(range(360, 420))
    utc = ("log.parquet", "-o", "out.parquet", *BIAS[:4], *BIAS[6:], "--severity", 2)
    run(*utc, *start).refused(2, "E_USAGE", "--start 2024-05-01 06:00", "no time zone", "--time-zone")


def test_amounts_are_in_the_unit_of_the_sensor_and_normal_logs_measure(run, plant: Path) -> None:
    run("log.parquet", "-o", "down.parquet", *BIAS, "--amount", "-2.5").ok()
    before = values("log.parquet")
    np.testing.assert_allclose((values("down.parquet") - before)[ROWS, 0], -2.5)
    lamp = ("--fault", "bias", "--sensor", "lamp", *BIAS[4:])
    run("log.parquet", "-o", "x.parquet", *lamp, "--severity", 2).refused(
        2, "E_USAGE", "'lamp' never moves", "--amount"
    )
    run("log.parquet", "-o", "lamp.parquet", *lamp, "--amount", 1).ok()
    np.testing.assert_allclose(values("lamp.parquet")[ROWS, 4], 2.0)
    limit = ("--fault", "saturation", "--direction", "down", *BIAS[2:], "--amount", 58)
    run("log.parquet", "-o", "limit.parquet", *limit).ok()
    assert values("limit.parquet")[ROWS, 0].min() == pytest.approx(58)
    normal = make_log(1440, seed=9)
    normal["flow"] *= 4
    normal.to_parquet("normal.parquet")
    run("log.parquet", "-o", "n.parquet", *BIAS, "--severity", 1, "--normal", "normal.parquet").ok()
    np.testing.assert_allclose((values("n.parquet") - before)[ROWS, 0], normal["flow"].std(ddof=0), rtol=1e-6)
    slow = ("--fault", "frequency", *BIAS[2:], "--json", "--severity")
    halved, doubled = (run("log.parquet", "-o", "f.parquet", "--force", *slow, size).ok() for size in ("0.5", "2"))
    found = [json.loads(said.out)["faults"][0] for said in (halved, doubled)]
    assert [(one["severity"], one["direction"]) for one in found] == [(2.0, "down"), (2.0, "up")]
    np.testing.assert_allclose(values("f.parquet")[361:390, 0], before[362:419:2, 0])
    swing = ("--fault", "oscillation", "--period", "10min", *BIAS[2:], "--amount", 3)
    run("log.parquet", "-o", "swing.parquet", *swing).ok()
    assert np.abs(np.fft.rfft((values("swing.parquet") - before)[ROWS, 0])).argmax() == 6


def test_faults_are_added_to_those_of_an_earlier_run(run, plant: Path) -> None:
    run("log.parquet", "-o", "one.parquet", *BIAS, "--severity", 2).ok()
    spike = ("--fault", "spike", "--sensor", "power", "--start", "2024-05-01T09:00Z", "--severity", "1")
    run("one.parquet", "-o", "x.parquet", *spike).refused(2, "E_USAGE", "column 'fault' already", "--label fault")
    run("one.parquet", "-o", "two.parquet", *spike, "--label", "fault", "--labels", "two.csv").ok()
    assert np.flatnonzero(pd.read_parquet("two.parquet")["fault"]).tolist() == [*range(360, 420), 540]
    assert len(read_labels("two.csv")) == 1
    run("one.parquet", "-o", "apart.parquet", *spike, "--label", "fault", "--label-column", "second").ok()
    apart = pd.read_parquet("apart.parquet")
    assert (apart["fault"].sum(), apart["second"].sum()) == (60, 1)
    sigma = values("log.parquet")[:, 0].std()
    clean = np.delete(values("log.parquet")[:, 0], range(360, 420)).std()
    again = run(
        "one.parquet",
        "-o",
        "three.parquet",
        *BIAS[:4],
        "--start",
        "2024-05-01T12:00Z",
        *BIAS[6:],
        "--severity",
        1,
        "--label",
        "fault",
        "--json",
    ).ok()
    assert json.loads(again.out)["faults"][0]["amount"] == pytest.approx(clean), "labelled rows measure nothing"
    assert abs(clean - sigma) > 0.01


def test_what_was_injected_is_scored_and_calibrated_with(workshop: Path, tmp_path: Path) -> None:
    model = workshop / "pump.sensorad"
    args = ("--fault", "gain", "--sensor", "power", "--severity", 3, "--start", "2024-05-06T06:00Z", "--duration", "2h")
    cli("inject", workshop / "new.parquet", "-o", "out.parquet", *args, "--labels", "labels.csv", cwd=tmp_path).ok()
    scored = cli("score", "out.parquet", "-m", model, "-o", "s.parquet", "--events", "e.parquet", cwd=tmp_path).ok()
    assert "1 columns ignored" in scored.err
    flags = pd.read_parquet(tmp_path / "out.parquet")["fault"] == 1
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert scores["alarm"][flags].mean() > 0.9
    taught = cli("calibrate", "s.parquet", "-m", model, "--what-if", "--labels", "labels.csv", cwd=tmp_path).ok()
    assert "1 of  1" in taught.out
    used = ("--label", "fault", "--method", "quantile", "--q", "0.9", "-o", "m", "--json")
    by_column = json.loads(cli("calibrate", "out.parquet", "-m", model, *used, cwd=tmp_path).ok().out)
    assert by_column["n_rows"] < 1440 - flags.sum()


def test_logs_from_stdin_and_to_stdout(plant: Path) -> None:
    done = cli("inject", "-", "-o", "-", *BIAS, "--severity", "2", stdin=Path("log.csv").read_bytes(), cwd=plant).ok()
    assert len(done.out.splitlines()) == 1441
    assert sum(line.endswith(",1") for line in done.out.splitlines()) == 60
    assert "Injected" in done.err


SINGLE = ("--severity", "2")


@pytest.mark.parametrize(
    ("args", "code", "kind", "words"),
    [
        (["log.parquet"], 2, "E_USAGE", ["which faults?", "--fault", "--random"]),
        (["log.parquet", *BIAS, "--random", "3"], 2, "E_USAGE", ["which faults?"]),
        (["log.parquet", "--random", "3", "--severity", "2"], 2, "E_USAGE", ["--severity goes with --fault"]),
        (["log.parquet", *BIAS, *SINGLE, "--kinds", "bias"], 2, "E_USAGE", ["--kinds goes with --random"]),
        (["log.parquet", "--random", "3", "--kinds", "bais"], 2, "E_USAGE", ["did you mean 'bias'"]),
        (["log.parquet", "--random", "3", "--severity-range", "1:2"], 2, "E_USAGE", ["kinds of one unit", "--kinds"]),
        (["log.parquet", "--random", "3", "--kinds", "bias", "--severity-range", "2:1"], 2, "E_USAGE", ["LOW:HIGH"]),
        (["log.parquet", "--random", "900"], 3, "E_TOO_LITTLE", ["900 faults", "1,440"]),
        (["log.parquet", "--random", "2", "--sensor", "lamp"], 2, "E_USAGE", ["ever moves"]),
        (["log.parquet", "--fault", "bais", *BIAS[2:], *SINGLE], 2, "E_USAGE", ["did you mean 'bias'"]),
        (["log.parquet", *BIAS[:2], *BIAS[4:], *SINGLE], 2, "E_USAGE", ["which sensor", "--sensor"]),
        (["log.parquet", *BIAS[:4], *BIAS[6:], *SINGLE], 2, "E_USAGE", ["when does", "--start"]),
        (["log.parquet", *BIAS[:6], *SINGLE], 2, "E_USAGE", ["how long", "--duration"]),
        (["log.parquet", *BIAS], 2, "E_USAGE", ["how severe", "sigma", "--amount", "0.5 to 4"]),
        (["log.parquet", *BIAS, *SINGLE, "--amount", "3"], 2, "E_USAGE", ["two units"]),
        (["log.parquet", *BIAS, "--severity", "-2", "--direction", "down"], 2, "E_USAGE", ["direction once"]),
        (["log.parquet", *BIAS, *SINGLE, "--form", "swap"], 2, "E_USAGE", ["no form 'swap'"]),
        (["log.parquet", *BIAS, "--severity", "nan"], 2, "E_USAGE", ["finite"]),
        (["log.parquet", "--fault", "lag", *BIAS[2:], "--amount", "3"], 2, "E_USAGE", ["no amount", "rows"]),
        (["log.parquet", "--fault", "noise", *BIAS[2:], *SINGLE, "--direction", "up"], 2, "E_USAGE", ["no direction"]),
        (["log.parquet", "--fault", "lag", *BIAS[2:], "--severity", "500"], 2, "E_USAGE", ["lag of flow", "are 360"]),
        (["log.parquet", "--fault", "stuck", "--sensor", "lamp", *BIAS[4:]], 2, "E_USAGE", ["nothing at sensor lamp"]),
        (["log.parquet", "--fault", "saturation", *BIAS[2:], "--amount", "500"], 2, "E_USAGE", ["within the limit"]),
        (["log.parquet", *BIAS[:3], "flwo", *BIAS[4:], *SINGLE], 3, "E_SCHEMA", ["'flwo'", "did you mean 'flow'"]),
        (["log.parquet", *BIAS[:3], "time", *BIAS[4:], *SINGLE], 3, "E_SCHEMA", ["'time' holds times"]),
        (["log.parquet", *BIAS[:5], "2024-05-03T00:00Z", *BIAS[6:], *SINGLE], 3, "E_DATA", ["outside", "23:59"]),
        (["log.parquet", *BIAS[:5], "2024-05-01T23:30Z", *BIAS[6:], *SINGLE], 3, "E_DATA", ["after the log", "23:59"]),
        (["log.parquet", *BIAS[:5], "2024-05-01T06:00:10Z", "--duration", "9s", *SINGLE], 3, "E_DATA", ["60 s apart"]),
        (["log.parquet", *BIAS[:5], "soon", *BIAS[6:], *SINGLE], 2, "E_USAGE", ["--start soon", "ISO 8601"]),
        (["log.parquet", *BIAS, *SINGLE, "--machine", "A"], 2, "E_USAGE", ["--machine A", "--group"]),
        (["group.csv", *BIAS, *SINGLE, "--group", "m", "--machine", "C"], 3, "E_DATA", ["no machine 'C'", "group.csv"]),
        (["log.parquet", *BIAS, *SINGLE, "--layout", "long"], 2, "E_USAGE", ["one row for each time"]),
        (["log.parquet", *BIAS, *SINGLE, "--label-column", "flow"], 2, "E_USAGE", ["a column 'flow' already"]),
        (["log.parquet", *BIAS, *SINGLE, "--labels", "out.parquet"], 2, "E_USAGE", ["labels cannot go"]),
        (["log.parquet", *BIAS, *SINGLE, "--labels", "log.parquet"], 2, "E_USAGE", ["among the input"]),
        (["log.parquet", *BIAS, *SINGLE, "--normal", "group.csv"], 3, "E_SCHEMA", ["group.csv", "'flow'"]),
        (["log.csv", *BIAS, *SINGLE], 2, "E_USAGE", ["out.parquet is no name for a CSV file", ".csv"]),
        (["shuffled.parquet", *BIAS, *SINGLE, "--strict"], 3, "E_TIME", ["goes back"]),
        (["empty.parquet", *BIAS, *SINGLE], 3, "E_DATA", ["empty.parquet", "no rows"]),
        (["gone.parquet", *BIAS, *SINGLE], 5, "E_IO", ["gone.parquet", "does not exist"]),
        (["there.parquet", *BIAS, *SINGLE], 5, "E_IO", ["there.parquet", "directory"]),
        (["ints.parquet", *BIAS, "--amount", "0.3"], 2, "E_USAGE", ["changes nothing at sensor flow", "resolution"]),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_write_nothing(
    run, plant: Path, args: list[str], code: int, kind: str, words: list[str]
) -> None:
    log = make_log(600, seed=1)
    log.iloc[:0].to_parquet("empty.parquet")
    log.sample(frac=1.0, random_state=0).to_parquet("shuffled.parquet")
    log.assign(flow=log["flow"].round().astype(int)).to_parquet("ints.parquet")
    log[["time"]].assign(flow="1", m="A").rename(columns={"flow": "flow" if "C" in args else "x"}).to_csv(
        "group.csv", index=False
    )
    Path("there.parquet").mkdir()
    before = left_in(plant)
    run(*args, "-o", "out.csv" if args[0] == "group.csv" else "out.parquet").refused(code, kind, *words)
    assert left_in(plant) == before


def test_what_exists_is_replaced_only_by_force_and_out_of_order_logs_stay_so(run, plant: Path) -> None:
    log = make_log(1440, seed=3).sample(frac=1.0, random_state=0, ignore_index=True)
    log.to_parquet("log.parquet")
    run("log.parquet", "-o", "out.parquet", *BIAS, *SINGLE).ok()
    after = pd.read_parquet("out.parquet")
    assert (after["time"] == log["time"]).all()
    hit = after["time"].between(START + 360 * STEP, START + 419 * STEP)
    np.testing.assert_array_equal(after["fault"] == 1, hit)
    held = Path("out.parquet").read_bytes()
    run("log.parquet", "-o", "out.parquet", *BIAS, "--severity", 3).refused(5, "E_IO", "out.parquet", "--force")
    assert Path("out.parquet").read_bytes() == held
    run("log.parquet", "-o", "out.parquet", *BIAS, "--severity", 3, "--force").ok()
    assert Path("out.parquet").read_bytes() != held
