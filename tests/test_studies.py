"""What the studies' scripts share, and what ships: how they train and measure, in small."""

import json
import re
import subprocess
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from evaluation import digit_means
from model import NextImagePredictor, start_at_mean
from studies import release, report
from studies.networks import NETWORKS
from studies.plateau import Watch


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_the_one_that_was_measured(name, train):
    network = NETWORKS[name](4)
    start_at_mean(network, train.mean_target())  # ends as it asks
    first, second = np.asarray(network(train.sample(2)[0]))
    assert first.shape == (28, 28) and (first != second).any()
    # Traced, they take most of a minute.
    network.compile("adam", "mse", run_eagerly=keras.backend.backend() != "jax")
    before = network.get_weights()
    network.train_on_batch(*train.sample(2))
    changes = zip(before, network.get_weights(), strict=True)
    assert any((one != other).any() for one, other in changes)
    table = (report.RESULTS / "architectures.md").read_text()
    assert f"| {name} | plain | {network.count_params():,} |" in table


def test_a_watch_stops_when_enough_is_right(test):
    watch = Watch(test, enough=0.5)
    network = SimpleNamespace(predict_on_batch=lambda inputs: images)
    watch.set_model(network)
    watch.set_params({"steps": 10})
    for shown, stops in ((0, False), (watch.digits, True)):
        images = digit_means()[np.broadcast_to(shown, 600)]
        watch.on_epoch_begin(0)
        watch.on_epoch_end(0)
        assert network.stop_training == stops
    assert [look["steps"] for look in watch.looks] == [10, 20]
    assert watch.first(0.5) == watch.looks[1] and watch.first(1.1) == {}


def test_a_table_has_medians_and_ranges_and_is_saved_with_its_machine(tmp_path, monkeypatch):
    seconds = {"a": (1, 2, 6), "b": (1.01, 1.02, 1.03), "c": (7, None, 8), "d": [float("inf")] * 3}
    turns = [(way, seconds[way][turn]) for turn in range(3) for way in seconds]
    runs = [{"way": way, "batch": 32, "seconds": measured, "runs": 1} for way, measured in turns]
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.save("speed", runs, ["way"], {"batch": max, "seconds": "{:.1f}", "runs": sum}, "Notes.")
    head = "| way | batch | seconds | runs |\n" + 4 * "| --- " + "|\n"
    head += "| a | 32 | 2.0 (1.0 to 6.0) | 3 |\n"
    assert (tmp_path / "speed.md").read_text().startswith(head)
    saved = json.loads((tmp_path / "speed.json").read_text())
    said = ["2.0 (1.0 to 6.0)", "1.0", "8.0 (7.0 to never)", "never"]
    assert [row["seconds"] for row in saved["rows"]] == said and saved["runs"] == runs
    assert {"date", "commit", "cpu", "keras"} <= set(saved["machine"])


def test_a_result_tells_whether_the_code_has_changed_since_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    assert report.machine()["commit"] == "unknown"
    code, other = tmp_path / "model.py", tmp_path / "README.md"
    code.touch()
    other.touch()
    commit = "git -c user.name=me -c user.email=me@example.com commit --message=first"
    for command in ("git init", "git add .", commit):
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    for path, said in ((other, "[0-9a-f]{7,40}"), (code, "[0-9a-f]{7,40} and changes")):
        path.write_text("changed")
        assert re.fullmatch(said, report.machine()["commit"])


@pytest.mark.parametrize(("bits", "largest"), [(10, 2**-11), (7, 2**-8)])
def test_a_model_is_written_rounded_when_its_training_is_done(bits, largest, tmp_path, monkeypatch):
    model, path = NextImagePredictor(units=(4, 4)), tmp_path / "writer.keras"
    model.compile("adam", "mse")
    path.write_text("the last release")

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(release.MODELS, "writer", (interrupted, "tensorflow", bits))
    with pytest.raises(KeyboardInterrupt):
        release.release_model(path)
    assert path.read_text() == "the last release"
    monkeypatch.setitem(release.MODELS, "writer", (lambda: model, "tensorflow", bits))
    release.release_model(path)
    assert path.stat().st_size < 3 * model.count_params()  # compressed: each weight has 4 bytes
    saved = keras.saving.load_model(path)
    assert type(saved) is NextImagePredictor and not saved.compiled
    for before, after in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_allclose(after, before, rtol=largest, atol=0)
    assert len(np.unique(np.frexp(saved.get_weights()[0])[0])) <= 2 ** (bits + 1)


def test_unknown_names_are_refused_before_any_work(capsys, monkeypatch):
    done = []
    monkeypatch.setattr(release, "release_notebook", done.append)
    with pytest.raises(SystemExit):
        release.main(["main", "nothing"])
    assert "no nothing; there are models/digit_classifier.keras" in capsys.readouterr().err
    assert not done
    release.main(["main.ipynb", "plateau"])
    assert [path.name for path in done] == ["main.ipynb", "plateau.ipynb"]
