import logging
import sys
import types

import pytest

from simclr_jax.training.checkpoints import save_errors


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ValueError("RESOURCE_EXHAUSTED: half a page [os_error_code='28'] more"),
            "No space left on device",
        ),
        (ValueError("some  other\nerror"), "ValueError: some other error"),
        (RuntimeError("x" * 300), "RuntimeError: " + "x" * 200),
    ],
)
def test_describes_an_error_in_a_few_words(error, expected):
    assert save_errors.describe(error) == expected


def test_suppresses_only_duplicates_of_a_failed_save(monkeypatch, caplog):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    save_errors.keep_short()
    save_errors.keep_short()
    for text in ("Event loop is closed", "something else"):
        error = RuntimeError(text)
        sys.unraisablehook(
            types.SimpleNamespace(exc_type=RuntimeError, exc_value=error)
        )
    assert [str(one.exc_value) for one in seen] == ["something else"]
    logger = logging.getLogger("absl")
    logger.error("[process=%d] _SignalingThread.run() raised an exception: %s", 0, "x")
    logger.error("another error")
    assert "SignalingThread" not in caplog.text
    assert "another error" in caplog.text
