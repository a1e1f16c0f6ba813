"""The scripts that shells source. They ask the program itself what may come, in `_PIPELOOM_COMPLETE`."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

VARIABLE: Final = "_PIPELOOM_COMPLETE"
PROGRAMS: Final = ("pipeloom", "pipeloom-tui")


class Shell(StrEnum):
    """A shell that has completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


# `files` as the first line leaves the word to the shell; `on` tells that more may follow what is completed.
_BASH: Final = r"""
_pipeloom_complete() {
    local line kind= program=${1/#\~\//$HOME/}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("$line"); fi
    done < <(_PIPELOOM_COMPLETE=bash "$program" "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null </dev/null)
    case $kind in
        files) compopt -o default 2>/dev/null ;;
        on) compopt -o nospace 2>/dev/null ;;
    esac
}
complete -o nosort -F _pipeloom_complete pipeloom pipeloom-tui 2>/dev/null ||
    complete -o default -F _pipeloom_complete pipeloom pipeloom-tui
"""
_ZSH: Final = r"""
#compdef pipeloom pipeloom-tui
_pipeloom_complete() {
    local word=$PREFIX line kind program=${${(Q)words[1]}/#\~\//$HOME/}
    local -a values shown on on_shown parts
    [[ -z $compstate[quote] ]] && word=${(Q)PREFIX}
    line=$(_PIPELOOM_COMPLETE=zsh $program "${(@Q)words[2,CURRENT-1]}" "$word" 2>/dev/null </dev/null)
    for line in "${(@f)line}"; do
        parts=( "${(@ps:\t:)line}" )
        kind=$parts[1]
        case $kind in
            files) _files; return ;;
            end) values+=( "$parts[2]" ); shown+=( "$parts[2]${parts[3]:+  -- $parts[3]}" ) ;;
            on) on+=( "$parts[2]" ); on_shown+=( "$parts[2]${parts[3]:+  -- $parts[3]}" ) ;;
        esac
    done
    (( $#values )) && compadd -V values -l -d shown -a values
    (( $#on )) && compadd -V on -S '' -l -d on_shown -a on
    (( $#values || $#on ))
}
if [[ $funcstack[1] == _pipeloom* ]]; then
    _pipeloom_complete "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _pipeloom_complete pipeloom pipeloom-tui
fi
"""
_FISH: Final = r"""
function __pipeloom_complete
    set -l program (string replace -r '^~/' "$HOME/" -- (commandline -opc)[1])
    set -l found (_PIPELOOM_COMPLETE=fish $program (commandline -cp | string collect) 2>/dev/null </dev/null)
    if test "$found[1]" = files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $found
    end
end
complete -c pipeloom -f -k -a '(__pipeloom_complete)'
complete -c pipeloom-tui -f -k -a '(__pipeloom_complete)'
"""

SCRIPTS: Final = {Shell.BASH: _BASH.lstrip(), Shell.ZSH: _ZSH.lstrip(), Shell.FISH: _FISH.lstrip()}
