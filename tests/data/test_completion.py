"""`lensjax completion`: its scripts are right for their shells, and the Tab key offers what there
is. The words of every verb are read once."""

import re
import shutil
import subprocess
from dataclasses import fields

import programs
import pytest

from data import completion
from data.completion import reading, scripts
from data.completion.reading import Option, Words
from data.config import presets
from lensjax.cli import verbs
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def found() -> dict[str, Words]:
    every = {**verbs(), "completion": completion.command}
    return {name: reading.words_of(name, verb) for name, verb in every.items()}


@pytest.fixture(scope="module")
def script(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("shell") / "lensjax"
    path.write_text(scripts.bash(found, presets()))
    return path


def offered(script, *words: str) -> list[str]:
    """What bash offers for the last of some words."""
    (bash,) = programs.needed("bash")
    line = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _lensjax; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run([bash, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_the_words_of_a_verb_are_those_of_its_settings(found):
    from data.simulate import SimulateSettings

    names = {n for option in found["simulate"].options for n in option.names}
    own = {f"--{f.name.replace('_', '-')}" for f in fields(SimulateSettings)}
    assert own | {"--out", "--force", "--no-force", "--help"} <= names
    assert found["simulate"].config and not found["inspect"].config
    assert [*found["inspect"].below] == ["serve", "results"]
    assert [*found["completion"].below] == [*scripts.SHELLS]
    assert all(words.options and words.summary for words in found.values())


def test_options_are_read_from_framed_and_plain_help():
    text = (
        "│ -h, --help           show this     │\n"
        "│ --force, --no-force  redo --it     │\n"
        "│ --source {a,b-c}                   │\n"
        "│                      where --x is  │\n"
        "│ --size {None}|INT    side          │\n"
        "  --json      print; or $(touch x)\n"
        "  --bad {a;b,$(c),d}  three\n"
    )
    assert [*reading.options(text)] == [
        Option(("-h", "--help"), False),
        Option(("--force", "--no-force"), False),
        Option(("--source",), True, ("a", "b-c")),
        Option(("--size",), True),
        Option(("--json",), False),
        Option(("--bad",), True, ("d",)),
    ]


def test_a_verb_that_cannot_say_its_help_keeps_its_name():
    def fails(argv):
        raise InputError("no such thing")

    assert reading.words_of("odd", fails) == Words("", (), {})


def test_bash_can_read_the_script(script):
    (bash,) = programs.needed("bash")
    done = subprocess.run([bash, "-n", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tab_key_offers_verbs_options_choices_and_presets(script, found):
    assert offered(script, "lensjax", "") == [*found]
    assert offered(script, "lensjax", "sc") == ["scan"]
    assert offered(script, "lensjax", "scan", "--rows") == ["--rows-per-part"]
    assert offered(script, "lensjax", "scan", "--source", "") == ["bricks", "shards", "folder"]
    assert offered(script, "lensjax", "run", "par") == [p for p in presets() if p.startswith("par")]
    assert offered(script, "lensjax", "inspect", "") == ["serve", "results"]
    assert offered(script, "lensjax", "inspect", "serve", "--br") == ["--bricks"]
    assert offered(script, "lensjax", "inspect", "serve", "--order", "r") == ["ranked"]
    # where nothing is offered, bash itself completes names of files
    assert offered(script, "lensjax", "scan", "--out", "") == []
    assert offered(script, "lensjax", "unknown", "--") == []


def test_the_scripts_of_other_shells_have_every_verb_and_option(found):
    fish, zsh = (scripts.SHELLS[name](found, presets()) for name in ("fish", "zsh"))
    assert zsh.startswith("#compdef lensjax\n") and "{{" not in zsh
    for name, words in found.items():
        assert f"-a {name} " in fish + " " and name in zsh
        for option in words.options:
            for long in (n for n in option.names if n.startswith("--")):
                assert f"-l {long[2:]}" in fish and long in zsh
    assert re.search(r"from inspect; and .*from serve' -l order -x -a 'shuffled ranked'", fish)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_another_shell_can_read_its_script(found, tmp_path, shell):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine")
    path = tmp_path / "script"
    path.write_text(scripts.SHELLS[shell](found, presets()))
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_prints_a_script_and_refuses_other_shells(capsys, monkeypatch):
    some = {"doctor": verbs()["doctor"]}
    monkeypatch.setattr("lensjax.cli.verbs", lambda: some)
    assert completion.command(["bash"]) == 0
    assert "complete -o default -F _lensjax lensjax" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        completion.command(["powershell"])
    assert "invalid choice" in capsys.readouterr().err
