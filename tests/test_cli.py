"""The command `lensjax`: what a user sees when something is wrong."""

import errno
import os
import subprocess
import sys

import pytest

from lensjax import cli
from lensjax.errors import InputError, nearest


class Entry:
    name = "try"

    def __init__(self, verb):
        self.verb = verb

    def load(self):
        return self.verb


@pytest.fixture
def verb(monkeypatch):
    def install(function):
        monkeypatch.setattr(cli, "entry_points", lambda **kw: [Entry(function)])

    return install


def raising(error):
    def function(argv):
        """Raises."""
        raise error

    return function


def test_help_lists_every_verb_with_a_summary():
    out = subprocess.run(
        [sys.executable, "-m", "lensjax.cli"], capture_output=True, text=True, check=True
    ).stdout
    for name in ("run", "simulate", "survey", "train", "evaluate", "audit", "report"):
        assert any(
            line.split()[:1] == [name] and len(line.split()) > 2 for line in out.splitlines()
        )


def test_unknown_verb_is_one_line_and_code_2(capsys):
    assert cli.main(["fly"]) == 2
    err = capsys.readouterr().err
    assert "unknown verb 'fly'" in err and len(err.splitlines()) == 1
    assert cli.main(["trian"]) == 2
    assert "did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("a.fits: truncated; download it again"), 2, "a.fits: truncated"),
        (KeyboardInterrupt(), 130, "run the same command again"),
        (OSError(errno.ENOSPC, "No space left on device", "x/y"), 2, "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "x/y"), 2, "quota"),
        (PermissionError(errno.EACCES, "denied", "x/y"), 2, "no permission"),
    ],
)
def test_user_errors_are_one_line_with_an_exit_code(verb, capsys, error, code, words):
    verb(raising(error))
    assert cli.main(["try"]) == code
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [["--out", "s3://me:secret@b/run"], ["c.yaml", "--out=s3a://b/x"], ["--out", "file:///x"]],
)
def test_an_address_is_no_place_for_results(verb, capsys, words):
    verb(raising(AssertionError("the verb ran")))
    assert cli.main(["try", *words]) == 2
    err = capsys.readouterr().err
    assert "Give a folder" in err and "survey --publish s3://" in err and "secret" not in err


def test_folders_and_addresses_elsewhere_are_left_to_the_verb(verb):
    verb(lambda argv: 0)
    assert cli.main(["try", "--root", "s3://b/x", "--out", "runs/a:b", "--publish=s3://b/x"]) == 0
    assert cli.main(["try", "--out"]) == 0


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="glibc's memory")
@pytest.mark.parametrize("given", [None, "glibc.malloc.check=0"])
@pytest.mark.parametrize("safe", [None, "1"])
def test_a_command_starts_again_once_with_the_environment_that_it_needs(given, safe):
    """Large pages unless the user tuned glibc, and no working directory on the path; one
    process."""
    program = (
        "import os, sys; from lensjax import cli; print(os.getpid())\n"
        "cli.main = lambda: print(os.environ['GLIBC_TUNABLES'], sys.flags.safe_path, sys.argv)\n"
        "cli.command()"
    )
    own = {"GLIBC_TUNABLES": given, "PYTHONSAFEPATH": safe}
    environment = {k: v for k, v in os.environ.items() if k not in own}
    done = subprocess.run(
        [sys.executable, "-c", program, "a b", "--c"],
        env=environment | {k: v for k, v in own.items() if v},
        capture_output=True,
        text=True,
        check=True,
    )
    *ids, said = done.stdout.splitlines()
    assert said == f"{given or 'glibc.malloc.hugetlb=1'} True ['-c', 'a b', '--c']"
    assert len(ids) == (1 if given and safe else 2) and len(set(ids)) == 1


def test_defects_keep_their_traceback(verb):
    verb(raising(RuntimeError("a defect")))
    with pytest.raises(RuntimeError):
        cli.main(["try"])


def test_an_interrupt_after_the_verb_has_ended_leaves_its_exit_code_and_no_traceback():
    """The handler stands for JAX's own, which took the one interrupt of a run that was just
    done."""
    program = (
        "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT); "
        "from lensjax import cli; cli.command()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: lensjax")


def test_a_reader_that_has_gone_ends_a_verb_without_a_word(verb, capsys):
    verb(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert cli.main(["try"]) == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("typed", "question"),
    [("Learning-Rate", "did you mean 'learning_rate'? "), ("zzz", "")],
)
def test_the_nearest_name_is_found_whatever_its_capitals_and_dashes(typed, question):
    assert nearest(typed, ["learning_rate", "epochs"]) == question
