"""Loads data sets of the ``datasets`` package from disk or its cache, offline.

Does not import JAX.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from simclr_jax.core import errors


def import_datasets() -> Any:
    """Returns the ``datasets`` package.

    Raises:
      DataError: if it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise errors.DataError(
            "hf: sources are read by the datasets package, which is not installed. "
            'Run: pip install "simclr_jax[hf]"'
        ) from error
    return datasets


@contextlib.contextmanager
def quiet_and_offline() -> Iterator[None]:
    """Disables network access, progress bars and log messages of the packages."""
    datasets = import_datasets()
    import huggingface_hub.constants

    # Environment variables have no effect here: the packages may be imported already.
    switches: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    were_offline = [switch.HF_HUB_OFFLINE for switch in switches]
    had_bars = datasets.are_progress_bars_disabled() is False
    verbosity = datasets.logging.get_verbosity()
    try:
        for switch in switches:
            switch.HF_HUB_OFFLINE = True
        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(logging.ERROR)
        yield
    finally:
        for switch, was_offline in zip(switches, were_offline, strict=True):
            switch.HF_HUB_OFFLINE = was_offline
        datasets.logging.set_verbosity(verbosity)
        if had_bars:
            datasets.enable_progress_bars()


def local_path(name: str) -> str | None:
    """Returns the absolute path of ``name`` on disk; None if no such path exists."""
    path = os.path.abspath(os.path.expanduser(name))
    return path if os.path.exists(path) else None


def is_saved(path: str) -> bool:
    """Returns whether the folder ``path`` was written by ``save_to_disk``."""
    names = ("state.json", "dataset_dict.json")
    return any(os.path.isfile(os.path.join(path, name)) for name in names)


def load_splits(name: str) -> dict[str, Any]:
    """Opens all splits of a data set.

    Args:
      name: a folder, or the name of a cached data set; see ``open_hugging_face``.

    Returns:
      The ``datasets.Dataset`` of every split. A single ``Dataset`` without a split is
      named ``"train"``.

    Raises:
      DataError: if the data set is missing or cannot be read.
    """
    with quiet_and_offline():
        stored = _load(name, local_path(name))
    if isinstance(stored, dict):
        return {str(split): dataset for split, dataset in stored.items()}
    return {str(stored.split or "train"): stored}


def _load(name: str, path: str | None) -> Any:
    """Returns the ``Dataset`` or ``DatasetDict`` of a folder or of the cache."""
    datasets = import_datasets()
    config = datasets.DownloadConfig(local_files_only=True)
    # The package and its dependencies raise many types of errors.
    expected = (OSError, ValueError, AssertionError, datasets.exceptions.DatasetsError)
    if path:
        try:
            if is_saved(path):
                return datasets.load_from_disk(path)
            return datasets.load_dataset(path, download_config=config)
        except expected as error:
            raise errors.DataError(
                f"hf:{name} cannot be read: {error} Expected a folder that "
                "Dataset.save_to_disk wrote, or one that datasets.load_dataset reads."
            ) from error
    parts = name.split("/")
    if name[0] in "/~." or len(parts) > 3:
        raise errors.DataError(
            f"hf:{name} is missing. Expected a folder, or the name of a data set in "
            "the cache of the datasets package, such as hf:USER/NAME."
        )
    arguments = ("/".join(parts[:2]), *parts[2:])
    try:
        return datasets.load_dataset(*arguments, download_config=config)
    except expected as error:
        raise errors.DataError(
            f"hf:{name} is neither a folder here nor in the cache of the datasets "
            f'package: {error} To download it once: python -c "import datasets; '
            f'datasets.load_dataset{arguments if parts[2:] else f"({name!r})"}"'
        ) from error
