"""What holds for every command: start-up, help, options from anywhere, errors in one line, signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_process import cli, command_line, environment

HEAVY = ("torch", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "rich")


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from sensorad_cli.main import main; code = main(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    best = 9.0
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
        )
        best = min(best, time.perf_counter() - began)
        assert done.stderr.strip() == "[]"
    assert best <= 0.5
    for name in ("demo", "fit", "score", "calibrate", "events", "inspect", "data", "report"):
        assert f"\n  {name} " in done.stdout
    assert "Exit codes: 0 done" in done.stdout
    assert "_SENSORAD_COMPLETE=bash_source" in done.stdout


def test_commands_load_no_torch_and_have_the_short_help_of_the_table() -> None:
    code = (
        "import sys, click\n"
        "from sensorad_cli.group import COMMANDS\n"
        "from sensorad_cli.main import cli\n"
        "ctx = click.Context(cli)\n"
        "for name, text in COMMANDS.items():\n"
        "    command = cli.get_command(ctx, name)\n"
        "    assert command.get_short_help_str(200) == text, (name, text)\n"
        "    assert command.name == name\n"
        f"assert not [name for name in {HEAVY!r} if name in sys.modules and name != 'numpy']\n"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)


def test_a_linear_detector_is_used_without_torch(workshop: Path, scored: object, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from sensorad_cli.main import main\n"
        "def run(*args):\n"
        "    code = main(args)\n"
        "    assert code == 0, (args, code)\n"
        f"run('score', 'new.parquet', '-m', 'pump.sensorad', '-o', {str(tmp_path / 's.parquet')!r}, '-q')\n"
        f"run('events', 'scores.parquet', '-m', 'pump.sensorad', '-o', {str(tmp_path / 'e.parquet')!r}, '-q')\n"
        f"run('calibrate', 'scores.parquet', '-m', 'pump.sensorad', '--method', 'quantile', '--q', '0.9',"
        f"    '-o', {str(tmp_path / 'm')!r}, '-q')\n"
        f"run('report', 'scores.parquet', '-m', 'pump.sensorad', '-o', {str(tmp_path / 'r.html')!r}, '-q')\n"
        "run('inspect', 'pump.sensorad')\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), cwd=workshop, check=True, stdout=subprocess.DEVNULL)


def test_version_and_bare_call() -> None:
    assert cli("--version").ok().out.startswith("sensorad 0.")
    assert cli().ok().out.startswith("Usage: sensorad ")
    assert "fetch" in cli("data").ok().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["scoer"], ["no command 'scoer'", "did you mean 'score'"]),
        (["score", "log.csv"], ["Missing option", "--model", "sensorad score --help"]),
        (["score", "a", "-m", "m", "-o", "s", "--allow-missing", "many"], ["--allow-missing", "many"]),
        (["fit", "a", "-o", "m", "--no-such"], ["--no-such", "sensorad fit --help"]),
        (["fit", "a", "-o", "m", "--time-limit", "soon"], ["'soon'", "10min"]),
        (["fit", "a", "-o", "m", "--model", "lstn"], ["lstn", "did you mean 'lstm'"]),
        (["fit", "a", "-o", "m", "--budget", "often"], ["'often'", "2/week"]),
        (["fit", "a", "-o", "m", "--rename", "x"], ["'x'", "OLD=NEW"]),
        (["fit", "a", "-o", "m", "--time", "t", "--time-step", "60"], ["--time-step", "--time"]),
        (["calibrate", "a", "-m", "m"], ["would be changed", "--force"]),
        (["score", "a", "-m", "m", "-o", "x", "--events", "x"], ["cannot both go to x"]),
        (["data", "list", "nosuch"], ["nosuch"]),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: list[str], words: list[str], tmp_path: Path) -> None:
    cli(*args, cwd=tmp_path).refused(2, "E_USAGE", *words)
    assert list(tmp_path.iterdir()) == []


def test_options_come_from_line_environment_and_file_in_this_order(tmp_path: Path) -> None:
    config = tmp_path / "plant.toml"
    config.write_text(
        'force = true\n[data.make]\nnormal-days = 1.0\ndays = 2\nfaults = 1\nseed = 7\n[fit]\nmodel = "linear"\n'
    )

    def made(*args: object, **changes: str) -> dict[str, object]:
        run = cli("data", "make", "-o", tmp_path / "plant", "--json", *args, **changes).ok()
        return json.loads(run.out)

    given = ("--config", config)
    assert made(*given)["seed"] == 7
    assert made(*given, SENSORAD_DATA_MAKE_SEED="8")["seed"] == 8
    assert made(*given, "--seed", "9", SENSORAD_DATA_MAKE_SEED="8")["seed"] == 9
    assert made(SENSORAD_CONFIG=str(config))["days"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[fit]\nbugdet = '1/day'\n", ["[fit] has no option 'bugdet'", "did you mean 'budget'"]),
        ("[fti]\nmodel = 'linear'\n", ["no command [fti]", "did you mean 'fit'"]),
        ("tiem = 'datetime'\n", ["no command has the option 'tiem'", "did you mean 'time'"]),
        ("[fit]\nwindow = [1, 2]\n", ["--window takes one value"]),
        ("fit = \n", ["not valid TOML"]),
    ],
)
def test_a_misspelt_configuration_is_refused(text: str, words: list[str], tmp_path: Path) -> None:
    config = tmp_path / "plant.toml"
    config.write_text(text)
    cli("--config", config, "fit", "log.csv", "-o", "m", cwd=tmp_path).refused(2, "E_USAGE", "plant.toml", *words)


def test_lists_in_a_configuration_are_exact_and_on_the_line_split_at_commas(workshop: Path, tmp_path: Path) -> None:
    import pandas as pd

    log = pd.read_parquet(workshop / "normal.parquet").iloc[:600].rename(columns={"flow": "flow, raw"})
    log.to_parquet(tmp_path / "log.parquet")
    (tmp_path / "plant.toml").write_text('[fit]\nsensors = ["flow, raw", "power"]\n')
    by_file = cli("fit", "log.parquet", "-o", "a", "--config", "plant.toml", "--json", cwd=tmp_path).ok()
    by_line = cli("fit", "log.parquet", "-o", "b", "--sensors", '"flow, raw",power', "--json", cwd=tmp_path).ok()
    for run in (by_file, by_line):
        assert [row["name"] for row in json.loads(run.out)["card"]["sensors"]] == ["flow, raw", "power"]


def test_results_go_to_stdout_the_rest_to_stderr_and_colours_only_to_terminals(workshop: Path) -> None:
    listed = cli("data", "list", FORCE_COLOR="", NO_COLOR="1").ok()
    assert "skab" in listed.out
    assert listed.err == ""
    assert "\x1b" not in listed.out
    described = cli("inspect", "pump.sensorad", cwd=workshop).ok()
    assert described.err == ""
    assert "flow" in described.out
    cards = json.loads(cli("--json", "data", "list").ok().out)
    assert {"name", "licence", "obtain"} <= cards[0].keys()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_a_progress_bar_and_colours_unless_told_otherwise(
    workshop: Path, tmp_path: Path, no_color: str
) -> None:
    """A pseudo-terminal as stderr; a log without page checksums earns a warning, which is yellow."""
    ours, theirs = pty.openpty()
    args = command_line("score", "new.parquet", "-m", "pump.sensorad", "-o", tmp_path / "s.parquet")
    changes = {"TERM": "xterm-256color"} | ({"NO_COLOR": no_color} if no_color else {})
    done = subprocess.run(
        args, stderr=theirs, stdout=subprocess.PIPE, cwd=workshop, env=environment(**changes), check=True
    )
    os.close(theirs)
    text = os.read(ours, 1 << 20)  # all of it fits into the buffer of the terminal
    os.close(ours)
    assert done.stdout == b""
    assert b"100%" in text
    assert b"warning: no page checksums" in text
    assert (b"\x1b[33m" in text) is not bool(no_color)


def test_quiet_is_quiet_and_completion_scripts_come_out(workshop: Path, tmp_path: Path) -> None:
    quiet = cli("-q", "score", "new.parquet", "-m", "pump.sensorad", "-o", tmp_path / "s.parquet", cwd=workshop).ok()
    assert (quiet.out, quiet.err) == ("", "")
    done = subprocess.run(
        [Path(sys.executable).parent / "sensorad"],
        env=environment(_SENSORAD_COMPLETE="bash_source"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_sensorad_completion" in done.stdout
    words = environment(_SENSORAD_COMPLETE="bash_complete", COMP_WORDS="sensorad cal", COMP_CWORD="1")
    done = subprocess.run(
        [Path(sys.executable).parent / "sensorad"], env=words, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "plain,calibrate"


def test_a_closed_pipe_is_no_error() -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command_line("data", "list", "--json"), env=environment(), **pipes) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 141


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_in_one_line_with_nothing_left(
    workshop: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The log comes through a pipe that stays open, so that the signal always finds the command at work."""
    args = command_line("score", "-", "-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(args, env=environment(TMPDIR=str(tmp_path)), text=True, **pipes) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.write("time,flow\n")
        child.stdin.flush()
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob("sensorad-stdin-*/stdin.csv")) and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(number)
        said = child.stderr.read()
        child.stdin.close()
        assert child.wait() == code
    assert said.strip().splitlines()[-1].startswith("error[E_"), said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_failure_is_one_line_and_with_v_a_traceback() -> None:
    code = (
        "import sys, sensorad, sensorad_cli.main as m\n"
        "def boom(path): raise ZeroDivisionError('two\\nlines')\n"
        "sensorad.load = boom\n"
        "sys.exit(m.main(['inspect', 'x', *sys.argv[1:]]))\n"
    )
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert plain.returncode == 1
    assert plain.stderr.startswith("error[E_INTERNAL]: unexpected ZeroDivisionError: two lines")
    assert len(plain.stderr.splitlines()) == 1
    loud = subprocess.run(
        [sys.executable, "-c", code, "-v"], capture_output=True, text=True, env=environment(), check=False
    )
    assert "Traceback" in loud.stderr
    assert loud.returncode == 1
