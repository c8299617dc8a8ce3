"""A study that several processes share, that survives a kill, and that says what is wrong with it."""

import gc
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import optuna
import pytest
from optuna.storages.journal import JournalFileOpenLock

from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import ROOT
from mnist_helpers.studies.search import (
    BATCH_SIZE,
    BEAT_S,
    DEPTHS,
    DROPOUT,
    FINISHED,
    KERNELS,
    LOCK_GRACE_S,
    RATES,
    RECORD,
    SILENCE_S,
    WIDTHS,
    SearchError,
    abandoned_trials,
    open_study,
    propose_network,
    search,
    summary,
    train_trial,
    worker,
)
from mnist_helpers.training import train_one_epoch

SMALL = {"dataset": "mnist", "train_limit": 256, "epochs": 1, "seed": 0}


@pytest.fixture
def small_space(monkeypatch):
    """Keep every proposed network small, for speed."""
    monkeypatch.setattr("mnist_helpers.studies.search.WIDTHS", (4, 8))
    monkeypatch.setattr("mnist_helpers.studies.search.DEPTHS", (1, 2))


@pytest.mark.usefixtures("small_space")
def test_a_study_runs_to_its_number_of_trials_and_not_beyond(tmp_path):
    place = str(tmp_path / "a.journal")
    lines = []
    search(open_study(place, SMALL), 3, "cpu", lines.append)
    search(open_study(place, SMALL), 3, "cpu", lines.append)
    study = open_study(place)
    assert len(study.trials) == len(lines) == 3
    assert study.best_value == min(trial.value for trial in study.trials if trial.value)
    assert all(0 < trial.user_attrs["val_accuracy"] < 1 for trial in study.trials)
    assert "3 complete; the best: trial" in summary(study)


def test_a_proposal_becomes_the_network_that_it_says():
    trial = optuna.trial.FixedTrial({"depth": 2, "width1": 16, "width2": 32, "kernel1": 5, "kernel2": 3})
    network = propose_network(trial)
    expected = 16 * 26 + 32 * (16 * 9 + 1) + (32 * 7 * 7 + 1) * 128 + 129 * 10
    assert count_parameters(network) == expected
    assert set(trial.distributions["width1"].choices) == set(WIDTHS)
    assert set(trial.distributions["kernel1"].choices) == set(KERNELS)
    assert (trial.distributions["depth"].low, trial.distributions["depth"].high) == DEPTHS


def test_a_trial_is_cut_off_when_it_does_worse_than_the_median(train, val, monkeypatch):
    study = optuna.create_study(direction="minimize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    study.add_trial(optuna.trial.create_trial(value=0.0, intermediate_values={1: 0.0, 2: 0.0}))
    study.optimize(lambda trial: train_trial(trial, train, val, epochs=2), n_trials=1)
    assert study.trials[-1].state == optuna.trial.TrialState.PRUNED
    assert list(study.trials[-1].intermediate_values) == [1]


def test_a_trial_whose_loss_explodes_is_pruned_and_the_study_goes_on(train, val, monkeypatch):
    monkeypatch.setattr("mnist_helpers.studies.search.RATES", (1e30, 1e31))
    study = optuna.create_study(direction="minimize")
    study.optimize(lambda trial: train_trial(trial, train, val, epochs=1), n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED"]


def test_a_study_begun_with_other_settings_is_refused(tmp_path):
    open_study(str(tmp_path / "a.journal"), SMALL)
    with pytest.raises(SearchError, match="was begun with.*256.*not.*512"):
        open_study(str(tmp_path / "a.journal"), SMALL | {"train_limit": 512})


def test_a_study_without_settings_cannot_be_worked_on(tmp_path):
    with pytest.raises(SearchError, match="has no settings"):
        search(open_study(str(tmp_path / "a.journal")), 1)


@pytest.mark.parametrize("place", ["nonsense://x", "sqlite:////nonexistent/folder/a.db"])
def test_a_database_that_is_not_there_is_said_plainly(place):
    with pytest.raises(SearchError, match="cannot be opened") as caught:
        open_study(place)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", ['{"no": "study"}\nat all\n', "my notes, without a last line end", "\n"])
def test_a_file_that_is_no_study_is_refused_and_stays_as_it_is(tmp_path, content):
    place = tmp_path / "notes.txt"
    place.write_text(content)
    with pytest.raises(SearchError, match="cannot be opened .it holds something else"):
        open_study(place)
    assert place.read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]  # no lock is left behind


@pytest.mark.usefixtures("small_space")
def test_a_study_in_a_database_works_the_same(tmp_path):
    place = f"sqlite:///{tmp_path / 'a.db'}"
    search(open_study(place, SMALL), 1, "cpu")
    assert len(open_study(place).trials) == 1
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # Optuna leaves its connections to be collected, and Python 3.13 complains of each


@pytest.mark.usefixtures("small_space")
def test_a_line_that_a_power_failure_tore_is_cut_off(tmp_path):
    place = tmp_path / "a.journal"
    search(open_study(str(place), SMALL), 1, "cpu")
    with place.open("a") as file:
        file.write('{"op_code": 4, "wor')
    study = open_study(str(place), SMALL)
    search(study, 2, "cpu")
    assert len(open_study(str(place)).trials) == 2
    assert all(json.loads(line) for line in place.read_text().splitlines())


PROGRAM = """
import sys
import time
import warnings
import torch
torch.set_num_threads(1)
from mnist_helpers.studies import search as s
s.WIDTHS, s.DEPTHS = (4, 8), (1, 1)
s.search(s.open_study(sys.argv[1], {settings}), int(sys.argv[2]), "cpu", lambda line: print(line, flush=True))
"""


def start(place, trials: int, program: str = PROGRAM, **changes) -> subprocess.Popen:
    command = [sys.executable, "-c", program.format(settings=SMALL | changes), str(place), str(trials)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_share_one_study(tmp_path):
    place = tmp_path / "a.journal"
    settings = {"train_limit": 2_000}
    open_study(str(place), SMALL | settings)
    processes = [start(place, 8, **settings) for _ in range(2)]
    for process in processes:
        _, stderr = process.communicate(timeout=240)
        assert process.returncode == 0, stderr
    trials = open_study(str(place)).trials
    assert 8 <= len(trials) <= 9  # the other may have been in its last trial
    assert sorted(trial.number for trial in trials) == list(range(len(trials)))
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2


HANGING = PROGRAM.replace("s.search(", "s.train_one_epoch = hang\ns.search(").replace(
    "import torch",
    "import threading\nimport torch\ndef hang(*_):\n    print('training', flush=True)\n    threading.Event().wait()",
    1,
)


@pytest.mark.slow
def test_a_killed_process_loses_only_its_trial_and_that_one_is_tried_again(tmp_path, monkeypatch):
    place = tmp_path / "a.journal"
    process = start(place, 3, program=HANGING)
    assert process.stdout.readline() == "training\n", process.stderr.read()
    study = open_study(str(place), SMALL)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = abandoned_trials(study)
    assert left.user_attrs["worker"] != worker()
    monkeypatch.setattr("mnist_helpers.studies.search.WIDTHS", (4, 8))
    monkeypatch.setattr("mnist_helpers.studies.search.DEPTHS", (1, 1))
    lines = []
    search(study, 1, "cpu", lines.append)
    first, second = open_study(str(place)).trials
    assert [first.state.name, second.state.name] == ["FAIL", "COMPLETE"]
    assert first.params == second.params
    assert "trial 0 was left unfinished" in lines[0]
    assert abandoned_trials(study) == []


def test_the_recipe_is_the_best_trial_of_the_committed_study(tmp_path):
    copy = shutil.copy(RECORD, tmp_path)  # opening a study may write to it
    study = open_study(copy)
    best = study.best_trial.params
    network = build_model("keras-tuned")
    assert count_parameters(network) == count_parameters(propose_network(optuna.trial.FixedTrial(best)))
    recipe = get_recipe("keras-tuned")
    assert recipe.lr == float(f"{best['lr']:.2g}")
    assert (recipe.batch_size, recipe.dropout) == (BATCH_SIZE, DROPOUT)
    assert len([trial for trial in study.trials if trial.state in FINISHED]) >= 60


def test_a_trial_without_a_name_is_abandoned_only_after_a_minute(tmp_path, monkeypatch):
    study = open_study(tmp_path / "a.journal", SMALL)
    study.ask()  # as a process leaves it that dies before it has signed
    assert abandoned_trials(study) == []
    monkeypatch.setattr("mnist_helpers.studies.search.SECONDS_TO_SIGN", -1)
    assert [trial.number for trial in abandoned_trials(study)] == [0]


def signed(study: optuna.Study, name: str) -> None:
    study._storage.set_trial_user_attr(study.ask()._trial_id, "worker", name)


def test_a_worker_is_known_by_its_machine_its_number_and_its_start(tmp_path):
    study = open_study(tmp_path / "a.journal", SMALL)
    machine, start, number = worker().split("-")
    signed(study, worker())
    signed(study, f"0a0b0c0d-{start}-{number}")  # another machine's, of which nothing is known
    assert abandoned_trials(study) == []
    study._storage.set_trial_user_attr(0, "alive", 0)  # a living one is known without its signs
    study._storage.set_trial_user_attr(1, "alive", time.time() - SILENCE_S - 9)  # its machine was switched off
    assert [trial.number for trial in abandoned_trials(study)] == [1]
    study._storage.set_trial_user_attr(1, "alive", time.time() - BEAT_S)
    signed(study, f"{machine}-{int(start) - 100}-{number}")  # a container's that was started anew, with the same number
    signed(study, f"{machine}-{start}-4999999")
    assert [trial.number for trial in abandoned_trials(study)] == [2, 3]


@pytest.mark.usefixtures("small_space")
def test_a_trial_that_another_has_given_up_is_a_line_and_the_next_is_taken(tmp_path, monkeypatch, caplog):
    study = open_study(str(tmp_path / "a.journal"), SMALL)
    trained = []

    def given_up_once(*arguments):
        trained.append(arguments)
        if len(trained) == 1:
            open_study(str(tmp_path / "a.journal")).tell(0, state=optuna.trial.TrialState.FAIL)
        return train_one_epoch(*arguments)

    monkeypatch.setattr("mnist_helpers.studies.search.train_one_epoch", given_up_once)
    lines = []
    search(study, 1, "cpu", lines.append)
    assert "trial 0 was given up by another" in lines[0]
    assert not caplog.records  # of Optuna, with a traceback
    assert [trial.state.name for trial in open_study(str(tmp_path / "a.journal")).trials] == ["FAIL", "COMPLETE"]


@pytest.mark.usefixtures("small_space")
def test_a_trial_that_another_gives_up_before_its_first_word_or_at_its_last_is_a_line_too(tmp_path, monkeypatch):
    place = str(tmp_path / "a.journal")
    study, lines, real = open_study(place, SMALL), [], train_trial

    def given_up(trial, *arguments):
        found = real(trial, *arguments)
        if trial.number < 2:
            open_study(place).tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.number == 1:
            raise optuna.TrialPruned
        return found

    monkeypatch.setattr("mnist_helpers.studies.search.train_trial", given_up)
    search(study, 1, "cpu", lines.append)
    assert [line.partition(",")[0] for line in lines[:2]] == [
        f"trial {number} was given up by another process" for number in (0, 1)
    ]
    assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL", "COMPLETE"]


@pytest.mark.usefixtures("small_space")
def test_two_who_find_the_same_trial_abandoned_try_it_again_once(tmp_path, monkeypatch):
    place, lines = str(tmp_path / "a.journal"), []
    study = open_study(place, SMALL)
    left = study.ask()
    left.suggest_float("lr", *RATES, log=True)

    def found_by_another_too(which):
        found = abandoned_trials(which)
        open_study(place).tell(left.number, state=optuna.trial.TrialState.FAIL)
        return found

    monkeypatch.setattr("mnist_helpers.studies.search.SECONDS_TO_SIGN", -1)
    monkeypatch.setattr("mnist_helpers.studies.search.abandoned_trials", found_by_another_too)
    search(study, 1, "cpu", lines.append)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert len(lines) == 1


@pytest.mark.usefixtures("small_space")
def test_a_process_shows_that_it_lives(tmp_path):
    study = open_study(str(tmp_path / "a.journal"), SMALL)
    search(study, 1, "cpu")
    assert abs(study.trials[0].user_attrs["alive"] - time.time()) < BEAT_S


def test_a_lock_that_a_killed_process_held_is_taken_without_a_word(tmp_path, monkeypatch, caplog):
    optuna.logging.enable_propagation()
    place = tmp_path / "a.journal"
    place.with_name("a.journal.lock").touch()
    clock = SimpleNamespace(monotonic=itertools.count(step=LOCK_GRACE_S + 1).__next__, sleep=lambda _: None)
    monkeypatch.setattr(sys.modules[JournalFileOpenLock.__module__], "time", clock)
    try:
        assert open_study(place, SMALL).user_attrs == {"settings": SMALL}
    finally:
        optuna.logging.disable_propagation()
    assert caplog.text == ""
    assert list(tmp_path.iterdir()) == [place]


def test_the_lock_needs_no_link_which_windows_would_refuse(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "symlink", None)
    study = open_study(tmp_path / "a.journal", SMALL)
    study.ask()
    assert len(study.trials) == 1
