"""What the studies' scripts share, and what ships: how they train and measure, in small."""

import json
import re
import subprocess
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from evaluation import digit_means
from model import NextImagePredictor, adapt, summed_squared_error
from studies import growth, release, report
from studies.networks import NETWORKS
from studies.plateau import Watch


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_and_is_saved_and_loaded(name, train, tmp_path):
    model = NETWORKS[name](4)
    adapt(model, train.mean_target())  # ends as it asks
    # Traced, the two convolutional recurrences take most of a minute.
    model.compile("adam", summed_squared_error, run_eagerly=keras.backend.backend() != "jax")
    inputs, targets, _ = train.sample(2)
    before = model.get_weights()
    model.train_on_batch(inputs, targets)
    assert any((one != other).any() for one, other in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    predictions = np.asarray(loaded(inputs))
    assert predictions.shape == (2, 28, 28)
    np.testing.assert_allclose(predictions, np.asarray(model(inputs)), atol=1e-6)


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
    assert watch.looks[0]["excess"] > 0.01 and watch.looks[1]["excess"] == 0


def test_a_spread_is_the_median_and_the_range():
    assert report.spread([1, 2, 6]) == "2 (1 to 6)"
    assert report.spread([0.5], "{:.1%}") == "50.0%"
    assert report.spread([1.01, 1.02, 1.03], "{:.1f}") == "1.0"
    assert report.spread([7, None, 8]) == "8 (7 to never)"
    assert report.spread([None, float("inf")]) == "never"


def test_a_table_has_a_row_for_each_group_and_is_saved_with_its_machine(tmp_path, monkeypatch):
    runs = [{"way": way, "batch": 32, "seconds": s} for way, s in (("a", 1), ("b", 5), ("a", 2))]
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    for quick in (True, False):
        assert not list(tmp_path.iterdir())
        report.save("speed", runs, ["way", "batch"], {"seconds": "{:.1f}"}, "Notes.", quick)
    head = "| way | batch | seconds |\n| --- | --- | --- |\n| a | 32 | 1.5 (1.0 to 2.0) |\n"
    assert (tmp_path / "speed.md").read_text().startswith(head)
    saved = json.loads((tmp_path / "speed.json").read_text())
    assert saved["rows"][1] == {"way": "b", "batch": 32, "seconds": "5.0"} and saved["runs"] == runs
    assert {"date", "commit", "cpu", "keras"} <= set(saved["machine"])


def test_a_result_tells_whether_the_code_has_changed_since_its_commit(tmp_path, monkeypatch):
    def git(*arguments):
        name = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(report, "ROOT", tmp_path)
    assert report.machine()["commit"] == "unknown"
    for name in ("model.py", "README.md"):
        (tmp_path / name).write_text("")
    git("init")
    git("add", ".")
    git("commit", "--message=first")
    (tmp_path / "README.md").write_text("changed")
    assert re.fullmatch("[0-9a-f]{7,40}", report.machine()["commit"])
    (tmp_path / "model.py").write_text("changed")
    assert re.fullmatch("[0-9a-f]{7,40} and changes", report.machine()["commit"])


def test_growth_is_drawn_from_the_saved_results(tmp_path):
    growth.plot(tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 5_000


@pytest.mark.parametrize(("bits", "largest"), [(10, 2**-11), (7, 2**-8)])
def test_a_released_model_is_a_rounded_copy_without_an_optimizer(bits, largest):
    model = NextImagePredictor(units=(4, 4))
    model.compile("adam", summed_squared_error)
    copy = release.rounded(model, bits)
    assert type(copy) is NextImagePredictor and not copy.compiled
    for before, after in zip(model.get_weights(), copy.get_weights(), strict=True):
        assert after.dtype == np.float32
        np.testing.assert_allclose(after, before, rtol=largest, atol=0)
    kernel = copy.get_weights()[0]
    assert len(np.unique(np.frexp(kernel)[0])) <= 2 ** (bits + 1)


def test_a_model_is_written_when_its_training_is_done(tmp_path, monkeypatch):
    path = tmp_path / "style.keras"
    path.write_text("the last release")

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(release.MODELS, "style", (interrupted, "tensorflow", 10))
    with pytest.raises(KeyboardInterrupt):
        release.release_model(path)
    assert path.read_text() == "the last release"
    network = NextImagePredictor(units=(4, 4))
    monkeypatch.setitem(release.MODELS, "style", (lambda: network, "tensorflow", 10))
    release.release_model(path)
    assert keras.saving.load_model(path).count_params() == network.count_params()


def test_unknown_names_are_refused_before_any_work(capsys, monkeypatch):
    done = []
    monkeypatch.setattr(release, "release_notebook", done.append)
    with pytest.raises(SystemExit):
        release.main(["main", "nothing"])
    assert "no nothing; there are models/digit_classifier.keras" in capsys.readouterr().err
    assert not done
    release.main(["main.ipynb", "plateau"])
    assert [path.name for path in done] == ["main.ipynb", "plateau.ipynb"]
