"""Scripts for shells, made from the words of all verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from shlex import quote

from data.completion.reading import Option, Words

Script = Callable[[Mapping[str, Words], Sequence[str]], str]
"""Takes the words of every verb and the names of the presets; returns the script."""


def _places(verbs: Mapping[str, Words]) -> Iterator[tuple[str, tuple[Option, ...]]]:
    """Every verb, and every verb below one ("inspect serve"), with its options."""
    for name, words in verbs.items():
        yield name, words.options
        for below, own in words.below.items():
            yield f"{name} {below}", own.options


def _names(options: Sequence[Option]) -> str:
    return " ".join(n for option in options for n in option.names if n.startswith("--"))


def _branches(verbs: Mapping[str, Words]) -> tuple[str, str, str]:
    """Branches of three `case` statements of bash and zsh, each of which sets `offered`: choices by
    "place option", options by place, and first words by verb."""
    choices, options, first = [], [], []
    for place, own in _places(verbs):
        options.append(f"    {quote(place)}) offered={quote(_names(own))} ;;")
        for option in own:
            given = " ".join(option.choices)
            choices += [
                f"    {quote(f'{place} {name}')}) offered={quote(given)} ;;"
                for name in option.names
                if given
            ]
    for name, words in verbs.items():
        if words.below:
            first.append(f"    {quote(name)}) offered={quote(' '.join(words.below))} ;;")
        elif words.config:
            first.append(f'    {quote(name)}) offered="$presets" ;;')
    return "\n".join(choices), "\n".join(options), "\n".join(first)


def _below(verbs: Mapping[str, Words]) -> str:
    """The pattern of every verb with a verb below it, for a `case` of bash and zsh."""
    places = [quote(place) for place, _ in _places(verbs) if " " in place]
    return f'    {" | ".join(places)}) place="$verb $second" ;;' if places else ""


FOUND = """\
  case "$verb $second" in
{below}
    *) ;;
  esac
  case "$place $before" in
{choices}
    *) ;;
  esac
"""
"""What bash and zsh write in the same way: the place that was typed, and the choices of the option
before."""

BASH = """\
# Completion of lensjax for bash; `lensjax completion bash` made it.
_lensjax() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  local verb="${{COMP_WORDS[1]}}" second="${{COMP_WORDS[2]}}" place="${{COMP_WORDS[1]}}" offered=""
  local presets={presets}
  COMPREPLY=()
{found}  if [[ $COMP_CWORD -eq 1 ]]; then
    offered={verbs}
  elif [[ -z $offered && $current == -* ]]; then
    case "$place" in
{options}
    *) ;;
    esac
  elif [[ -z $offered && $COMP_CWORD -eq 2 ]]; then
    case "$verb" in
{first}
    *) ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$offered" -- "$current"))
}}
# Where nothing is offered, readline completes names of files.
complete -o default -F _lensjax lensjax
"""

ZSH = """\
#compdef lensjax
# Completion of lensjax for zsh; `lensjax completion zsh` made it.
_lensjax() {{
  local current="$words[CURRENT]" before="$words[CURRENT-1]"
  local verb="$words[2]" second="$words[3]" place="$words[2]" offered=""
  local presets={presets}
{found}  if (( CURRENT == 2 )); then
    offered={verbs}
  elif [[ -z $offered && $current == -* ]]; then
    case "$place" in
{options}
    *) ;;
    esac
  elif [[ -z $offered ]] && (( CURRENT == 3 )); then
    case "$verb" in
{first}
    *) ;;
    esac
  fi
  if [[ -n $offered ]]; then
    compadd -- ${{=offered}}
  fi
  if [[ -z $offered || ( $offered == $presets && $CURRENT -eq 3 ) ]]; then
    _files
  fi
}}
if [[ $funcstack[1] == _lensjax ]]; then
  _lensjax "$@"
else
  compdef _lensjax lensjax
fi
"""


def _filled(template: str, verbs: Mapping[str, Words], presets: Sequence[str]) -> str:
    choices, options, first = _branches(verbs)
    return template.format(
        presets=quote(" ".join(presets)),
        verbs=quote(" ".join(verbs)),
        found=FOUND.format(below=_below(verbs), choices=choices),
        options=options,
        first=first,
    )


def bash(verbs: Mapping[str, Words], presets: Sequence[str]) -> str:
    """The script for bash, 3.2 and later."""
    return _filled(BASH, verbs, presets)


def zsh(verbs: Mapping[str, Words], presets: Sequence[str]) -> str:
    """The script for zsh: a file `_lensjax` of a folder of $fpath, or for `source`."""
    return _filled(ZSH, verbs, presets)


def fish(verbs: Mapping[str, Words], presets: Sequence[str]) -> str:
    """The script for fish."""
    lines = ["# Completion of lensjax for fish; `lensjax completion fish` made it."]
    for name, words in verbs.items():
        about = f" -d {_fish(words.summary)}" if words.summary else ""
        lines.append(f"complete -c lensjax -f -n __fish_use_subcommand -a {name}{about}")
        offered = " ".join(words.below) or (" ".join(presets) if words.config else "")
        if offered:
            lines.append(f"complete -c lensjax -n {_seen(name)} -a {_fish(offered)}")
    for place, options in _places(verbs):
        for option in options:
            for name in (n for n in option.names if n.startswith("--")):
                line = f"complete -c lensjax -n {_seen(place)} -l {name[2:]}"
                if option.choices:
                    line += f" -x -a {_fish(' '.join(option.choices))}"
                elif option.takes:
                    line += " -r"
                lines.append(line)
    return "\n".join(lines) + "\n"


def _seen(place: str) -> str:
    """The condition that the words of a place were typed."""
    return _fish("; and ".join(f"__fish_seen_subcommand_from {word}" for word in place.split()))


def _fish(text: str) -> str:
    """A text in the single quotes of fish, where a backslash and a quote have one before them."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Script] = {"bash": bash, "zsh": zsh, "fish": fish}
