import subprocess
import sys

import jax
import pytest
from programs import running

from simclr_jax.core import errors
from simclr_jax.programs import cli


def test_prints_a_user_error_without_a_traceback(capsys):
    def fail():
        raise errors.DataError("the data are missing")

    assert cli.guard(fail) == 4
    assert capsys.readouterr().err == "error: the data are missing\n"


def test_does_not_catch_other_errors():
    with pytest.raises(ZeroDivisionError):
        cli.guard(lambda: 1 // 0)


def test_ends_silently_if_the_reader_of_the_output_has_gone():
    process = subprocess.Popen(
        [sys.executable, "-m", "simclr_jax", "configs"],
        cwd=running.ROOT,
        env=running.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 128 + 13


def test_a_broken_pipe_inside_a_program_is_not_hidden(capsys):
    def fail():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        cli.guard(fail)


def test_exit_codes_are_distinct():
    kinds = errors.UserError.__subclasses__()
    codes = [kind.exit_code for kind in kinds] + [
        errors.UserError.exit_code,
        errors.PREEMPTED_EXIT_CODE,
    ]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes and 1 not in codes


def test_prints_usage_and_rejects_unknown_programs():
    usage = running.run("--help")
    assert usage.returncode == 0
    assert "pretrain" in usage.stdout
    unknown = running.run("prtrain")
    assert unknown.returncode == 2
    assert "Did you mean 'pretrain'?" in unknown.stdout + unknown.stderr


def test_expands_the_home_folder_in_the_compilation_cache(
    monkeypatch, tmp_path, capsys
):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "~/compiled/")
        assert cli.guard(lambda: None) == 0
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "s3://bucket/compiled")
    assert cli.guard(lambda: None) == 2
    assert "JAX_COMPILATION_CACHE_DIR 's3://" in capsys.readouterr().err
