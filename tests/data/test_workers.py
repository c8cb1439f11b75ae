import logging
import multiprocessing
import subprocess
import sys

import pytest

from simclr_jax.data import workers

# No "if __name__" in it, and a source of its own.
SCRIPT = """
import sys
print("the script runs", flush=True)
sys.path[:0] = {path!r}
import numpy as np
from simclr_jax import data

class Mine:
    name, image_shape, num_classes = "mine", (8, 8, 3), 5
    def __len__(self):
        return 60
    def title_of(self, index):
        return str(index)
    def __getitems__(self, indices):
        fill = lambda index: np.full((8, 8, 3), index, np.uint8)
        return [{{"image": fill(index), "label": index % 5}} for index in indices]

order = data.BatchOrder(60, 25, 3, seed=1)
batches = data.load(data.open_images(Mine()), order, num_workers=2)
for number, batch in enumerate(batches):
    assert (batch["images"][:, 0, 0, 0] == order[number]).all()
print("all batches")
"""


@pytest.mark.parametrize("is_file", [True, False])
def test_workers_of_a_script_without_a_guard_and_of_standard_input(tmp_path, is_file):
    text = SCRIPT.format(path=sys.path)
    script = tmp_path / "script.py"
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, str(script) if is_file else "-"],
        input=None if is_file else text,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.splitlines() == ["the script runs", "all batches"]
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_that_may_have_no_children_uses_threads(caplog, monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    workers._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert workers.allowed_workers(2) == 0
        assert workers.allowed_workers(0) == 0
        assert workers.allowed_workers(4) == 0
    assert caplog.text.count("threads read and decode instead") == 1
    monkeypatch.undo()
    assert workers.allowed_workers(2) == 2
