"""Removal of the temporary folders of failed saves.

If one array of a save cannot be written, Orbax raises at once, while TensorStore still
writes others in threads that nothing waits for. Such a write may create a file while
its folder is being removed, so that the removal fails, or create the folder again.
"""

import pathlib
import shutil
import time

SETTLE_SECONDS = 1.0
"""``remove_for_good`` ends after no folder has appeared for this time."""

LIMIT_SECONDS = 30.0
"""Longest duration of ``remove_for_good``."""

_POLL_SECONDS = 0.02


def remove(directory: pathlib.Path) -> bool:
    """Removes the temporary folders of failed saves, as far as possible now.

    Args:
      directory: folder of the checkpoints.

    Returns:
      Whether there were any.
    """
    found = list(directory.glob("*.orbax-checkpoint-tmp"))
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return bool(found)


def remove_for_good(directory: pathlib.Path) -> None:
    """Removes the temporary folders of failed saves until no write recreates them.

    Args:
      directory: folder of the checkpoints; no save may be pending.
    """
    start = last_seen = time.monotonic()
    while time.monotonic() - last_seen < SETTLE_SECONDS:
        if remove(directory):
            last_seen = time.monotonic()
        if time.monotonic() - start > LIMIT_SECONDS:
            return
        time.sleep(_POLL_SECONDS)
