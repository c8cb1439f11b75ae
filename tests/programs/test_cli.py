import jax
import pytest
from programs import running

from simclr_jax.core import errors
from simclr_jax.programs import cli


def test_a_users_error_becomes_its_message_and_exit_code(capsys):
    def fail():
        raise errors.DataError("the data is not there")

    assert cli.guard(fail) == 4
    assert capsys.readouterr().err == "error: the data is not there\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.guard(lambda: 1 // 0)


def test_exit_codes_are_different():
    kinds = errors.UserError.__subclasses__()
    codes = [kind.exit_code for kind in kinds] + [
        errors.UserError.exit_code,
        errors.PREEMPTED_EXIT_CODE,
    ]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes and 1 not in codes


def test_usage_and_unknown_programs():
    usage = running.run("--help")
    assert usage.returncode == 0
    assert "pretrain" in usage.stdout
    unknown = running.run("prtrain")
    assert unknown.returncode == 2
    assert "Did you mean 'pretrain'?" in unknown.stdout + unknown.stderr


def test_the_compilation_cache_may_be_in_the_home_folder(monkeypatch, tmp_path, capsys):
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
