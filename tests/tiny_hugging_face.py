"""Sets of the datasets package, and fixtures that keep it from network and cache."""

import socket

import image_bytes
import pytest

datasets = pytest.importorskip("datasets")


def no_network(monkeypatch, tmp_path):
    """Refuses every connection, and gives the package a cache of its own."""

    def refuse(*unused):
        raise AssertionError("tried the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def make(numbers, *, column="image", labels="label", **options):
    """Returns a set of images, their values the numbers, of three classes."""
    rows = {"text": [f"no. {n}" for n in numbers]}
    kinds = {"text": datasets.Value("string")}
    rows[column] = [{"bytes": image_bytes.encode(n), "path": None} for n in numbers]
    kinds[column] = datasets.Image()
    if labels:
        rows[labels] = [n % 3 for n in numbers]
        kinds[labels] = datasets.ClassLabel(names=["a", "b", "c"])
    kinds.update(options)
    return datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))


def save(stored, path):
    stored.save_to_disk(path)
    return f"hf:{path}"


def saved(tmp_path):
    """Returns the name of a saved set with a train and a test split."""
    by_split = {"train": make(range(10)), "test": make([50, 51])}
    return save(datasets.DatasetDict(by_split), tmp_path / "set")
