"""A run in progress: held by one process, and seen as crashed as soon as that process is dead."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer

import pytest

from dalm.errors import DalmError
from dalm.records import (
    RunFolder,
    Status,
    append_event,
    hold,
    locks,
    read_status,
    run_state,
    status,
    write_meta,
    write_status,
)

TRAINER = """
import sys
from pathlib import Path
from dalm.records import Status, hold, write_status

folder = Path(sys.argv[1])
with hold(folder):
    write_status(folder, Status(step=412, steps=800, rate=9.5))
    print("holding", flush=True)
    sys.stdin.read()
"""


def run_in(folder: Path, state: str = "running") -> Path:
    folder.mkdir(exist_ok=True)
    write_meta(folder, {"format": 1, "state": state, "weights": None})
    return folder


@pytest.fixture
def run(tmp_path):
    return run_in(tmp_path / "run")


@pytest.fixture
def trainer(run):
    """Another process that trains the run."""
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"holding\n"
        yield process
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_that_is_held_is_running(run, trainer):
    assert run_state(run) == "running"
    found = read_status(run)
    assert (found.pid, found.step, found.steps, found.rate) == (trainer.pid, 412, 800, 9.5)
    assert found.age < 60


def test_a_killed_run_is_crashed_at_once(run, trainer):
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    began = time.monotonic()
    assert run_state(run) == "crashed"
    assert time.monotonic() - began < 1
    assert read_status(run).step == 412, "what is left tells how far it came"


def test_a_second_process_is_refused(run, trainer):
    refusal = r"another process is training .*run.*wait for it, or choose another folder"
    with pytest.raises(DalmError, match=refusal), hold(run):
        pass
    assert run_state(run) == "running"


def test_a_crashed_run_can_be_held_again(run, trainer):
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    with hold(run):
        assert run_state(run) == "running"
    assert names(run.parent) == ["run"]


def test_nothing_stays_behind_after_a_normal_end(run, trainer):
    trainer.communicate(timeout=30)
    assert trainer.returncode == 0
    assert names(run.parent) == ["run"]
    assert names(run) == ["run.json"]


def test_an_exception_leaves_the_status_and_no_lock(run):
    def interrupted() -> None:
        with hold(run):
            write_status(run, Status(step=3, steps=None, rate=1.0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(run.parent) == ["run"]
    assert names(run) == ["run.json", "status.json"]
    assert run_state(run) == "crashed"


def test_a_name_is_held_before_there_is_a_folder(tmp_path):
    run = tmp_path / "run"
    with hold(run), pytest.raises(DalmError, match="another process"), hold(run):
        pass
    assert names(tmp_path) == []


def test_folders_above_a_run_stay_only_if_something_came_of_them(tmp_path):
    deep = tmp_path / "runs" / "today" / "run"
    with hold(deep):
        assert deep.parent.is_dir()
    assert names(tmp_path) == []
    with hold(deep):
        deep.mkdir()
    assert deep.is_dir()


def test_a_run_is_the_same_by_every_path(run, monkeypatch):
    (run.parent / "link").symlink_to(run)
    monkeypatch.chdir(run)
    with hold(Path()):
        for path in (run, run.parent / "link", Path("../run"), Path()):
            assert run_state(path) == "running"


def test_readers_do_not_keep_a_trainer_out(run, trainer):
    """A reader holds the lock of a crashed run for the moment of its test."""
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    reading = locks._take(run.resolve(), "taken", 0.0)
    Timer(0.2, locks._give_back, [reading]).start()
    with hold(run):
        assert run_state(run) == "running"


@pytest.mark.parametrize("state", ["done", "stopped", "failed"])
def test_a_run_that_ended_says_how(tmp_path, state):
    assert run_state(run_in(tmp_path / "run", state)) == state


def test_a_resumed_run_is_running_again(tmp_path):
    run = run_in(tmp_path / "run", "stopped")
    with hold(run):
        assert run_state(run) == "running"


def test_a_run_that_ends_during_the_look_has_not_crashed(run, monkeypatch):
    def ending(folder: Path) -> bool:
        run_in(folder, "done")
        return False

    monkeypatch.setattr(status, "_is_alive", ending)
    assert run_state(run) == "done"


@pytest.mark.parametrize(("age", "state"), [(5, "running"), (120, "crashed")])
@pytest.mark.parametrize("reason", ["another host", "no locks"])
def test_where_no_lock_can_be_tested_the_last_sign_of_life_counts(
    run, monkeypatch, age, state, reason
):
    seen = datetime.now(UTC) - timedelta(seconds=age)
    host = {"host": "elsewhere"} if reason == "another host" else {}
    write_status(run, Status(step=1, steps=2, rate=1.0, time=seen.isoformat(), **host))
    if reason == "no locks":
        monkeypatch.setattr(status, "is_locked", lambda path: None)
    assert run_state(run) == state


def test_a_run_of_an_early_version_that_was_killed_is_crashed(run):
    assert run_state(run) == "crashed"


@pytest.mark.parametrize(
    "damage",
    [
        {"time": "noon"},
        {"time": "2026-01-01T00:00:00"},  # of no time zone
        {"time": 3},
        {"step": "many"},
        {"steps": 1.5},
        {"format": 9},
        "",
        "[1]",
        "{}",
    ],
)
def test_a_damaged_status_is_none(run, damage):
    write_status(run, Status(step=1, steps=2, rate=1.0))
    content = damage
    if isinstance(damage, dict):
        content = json.dumps(json.loads((run / "status.json").read_text()) | damage)
    (run / "status.json").write_text(content)
    assert read_status(run) is None
    assert run_state(run) == "crashed"


def test_status_has_the_keys_of_the_page(run):
    write_status(run, Status(step=1, steps=2, rate=1.0))
    found = json.loads((run / "status.json").read_text())
    assert set(found) == {"format", "pid", "host", "step", "steps", "rate", "time", "state"}


def test_events_are_kept_in_order_with_their_time(run):
    append_event(run, "started", step=0)
    append_event(run, "rolled back", step=12, reason="NaN")
    events = RunFolder(run).events
    assert [event["event"] for event in events] == ["started", "rolled back"]
    assert events[1]["reason"] == "NaN"
    assert events[0]["time"] <= events[1]["time"]


def test_half_a_line_of_a_killed_run_costs_that_line_only(run):
    append_event(run, "one")
    with (run / "events.jsonl").open("a") as file:
        file.write('{"time": "2026')
    append_event(run, "two")
    assert [event["event"] for event in RunFolder(run).events] == ["one", "two"]
