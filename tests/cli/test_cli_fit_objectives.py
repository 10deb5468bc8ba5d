"""`fit` with augmentation, mixup and exposure: what is learned, what is kept, what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cli_process import cli, left_in, make_log

Frame = pd.DataFrame
NETWORK = ("--model", "lstm", "--epochs", "1", "--window", "8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a short normal log that has an operating mode."""
    folder = tmp_path_factory.mktemp("objectives")
    log = make_log(1500, seed=0)
    log["mode"] = ["day" if hour < 12 else "night" for hour in log["time"].dt.hour]
    log.to_parquet(folder / "normal.parquet")
    return folder


def config_of(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((path / "detector.json").read_text())["config"]
    return found


def test_everything_at_once_is_learned_kept_and_scored(shop: Path) -> None:
    options = (
        *NETWORK, "--mode", "mode", "--augment", "jitter,scaling", "--augment", "time_warp",
        "--augment-exclude", "lamp",
        "--mixup", "0.2", "--exposure", "--exposure-kind", "bias,drift", "--exposure-kind", "stuck",
    )  # fmt: skip
    run = cli("--json", "fit", "normal.parquet", "-o", "all.sensorad", *options, cwd=shop).ok()
    config = config_of(shop / "all.sensorad")
    assert config["augment"] == ["jitter", "scaling", "time_warp"]
    assert config["augment_exclude"] == ["lamp"]
    assert config["mixup"] == 0.2
    assert config["exposure"] == "repair", "what --exposure alone means"
    assert config["exposure_kinds"] == ["bias", "drift", "stuck"]
    assert json.loads(run.out)
    record = json.loads((shop / "all.sensorad" / "detector.json").read_text())["training"]["records"][0]["objective"]
    assert [step["name"] for step in record["augment"]["steps"]] == ["jitter", "scaling", "time_warp"]
    assert record["augment"]["excluded"] == [4], "the lamp, which never changes, was excluded twice over"
    assert record["mixup"]["alpha"] == 0.2
    assert record["exposure"]["kinds"] == ["bias", "drift", "stuck"]
    cli("score", "normal.parquet", "-m", "all.sensorad", "-o", "scores.parquet", cwd=shop).ok()
    assert pd.read_parquet(shop / "scores.parquet")["score"].notna().sum() == 1500 - 10
    assert "all.sensorad.checkpoint" not in left_in(shop)


def test_a_head_goes_with_the_linear_model(shop: Path) -> None:
    cli("fit", "normal.parquet", "-o", "head.sensorad", "--exposure", "head", "--window", "8", cwd=shop).ok()
    said = cli("inspect", "head.sensorad", cwd=shop).ok()
    assert "a head that learned faults in the other half" in said.out + said.err
    lines = make_log(40, seed=2).to_csv(index=False).encode()
    streamed = cli("stream", "-m", "head.sensorad", stdin=lines, cwd=shop).ok().out.splitlines()
    scores = [json.loads(line)["score"] for line in streamed if "score" in json.loads(line)]
    assert sum(score is not None for score in scores) == 40 - 10


def test_settings_come_from_a_file_as_well(shop: Path) -> None:
    (shop / "fit.toml").write_text('[fit]\nmixup = 0.1\naugment = ["jitter"]\nexposure = "hinge"\n')
    cli("--config", "fit.toml", "fit", "normal.parquet", "-o", "toml.sensorad", *NETWORK, cwd=shop).ok()
    config = config_of(shop / "toml.sensorad")
    assert (config["mixup"], config["augment"], config["exposure"]) == (0.1, ["jitter"], "hinge")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--exposure", "repairs"), ("'repairs'", "did you mean 'repair'")),
        (("--exposure", "--exposure-kind", "biass"), ("no kind of fault 'biass'", "did you mean 'bias'")),
        (("--exposure-kind", "bias"), ("no exposure",)),
        (("--augment", "jiter"), ("no augmentation 'jiter'", "did you mean 'jitter'")),
        (("--augment", "permutation"), ("groups of sensors",)),
        (("--augment", "jitter", "--augment-exclude", "flw"), ("no sensor 'flw'", "did you mean 'flow'")),
        (("--augment-exclude", "flow"), ("there are none",)),
        (("--mixup", "-0.1"), ("--mixup",)),
        (("--mixup", "nan"), ("mixup",)),
        (("--exposure", "head", "--score", "sse"), ("does not listen to a head",)),
        (("--exposure", "--window", "4"), ("windows of 8 rows or more",)),
        (("--model", "linear", "--exposure", "repair"), ("exposure='head'",)),
        (("--model", "linear", "--mixup", "0.2"), ("no augmentation, mixup",)),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    shop: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    before = left_in(shop)
    cli("fit", "normal.parquet", "-o", "no.sensorad", "--model", "lstm", *options, cwd=shop).refused(
        2, "E_USAGE", *words
    )
    assert left_in(shop) == before, "neither a detector nor a checkpoint"


def test_a_fit_with_other_settings_does_not_resume(shop: Path) -> None:
    """What an interrupted fit has left behind belongs to its own settings."""
    first = ("fit", "normal.parquet", "-o", "first.sensorad", *NETWORK, "--mixup", "0.2", "--time-limit", "1h")
    whole = cli(*first, "--checkpoint", "kept", cwd=shop).ok()
    assert whole.code == 0
    assert "kept" not in left_in(shop)
    import sensorad
    from sensorad import Detector
    from sensorad.errors import ArtefactError

    log = shop / "normal.parquet"
    (shop / "half").mkdir()

    def stop(what: str, share: float) -> None:
        if what.startswith("scoring"):
            raise KeyboardInterrupt

    settings = {"model": "lstm", "epochs": 1, "window": 8}
    with pytest.raises(KeyboardInterrupt):
        Detector(**settings, mixup=0.2).fit(log, checkpoint=shop / "half", progress=stop)  # type: ignore[arg-type]
    with pytest.raises(ArtefactError, match=r"objective\.mixup\.alpha was 0\.2, is 0\.3"):
        Detector(**settings, mixup=0.3).fit(log, checkpoint=shop / "half")  # type: ignore[arg-type]
    resumed = Detector(**settings, mixup=0.2).fit(log, checkpoint=shop / "half")  # type: ignore[arg-type]
    assert resumed.weights_hash_ == sensorad.load(shop / "first.sensorad").weights_hash_
