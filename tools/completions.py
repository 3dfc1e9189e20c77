#!/usr/bin/env python3
"""Makes the completions of bash, zsh and fish from the tables of the command P2P:
completions.py P2P OUT writes OUT/p2p (bash), OUT/_p2p (zsh) and OUT/p2p.fish."""

import pathlib
import sys

from man import flag, tables

FILES = ("FILE", "PATH")


def words(command):
    return command["name"].split()


def flags(option):
    """Every way to write it."""
    return [d + option[k] for d, k in (("-", "letter"), ("--", "name")) if option[k]]


def all_options(table):
    """Each option once; commands agree on what takes a value."""
    return {flag(o): o for c in table["command"] for o in c["options"]}


def settings(table):
    """What -o takes, as far as it is known."""
    return [o["name"] + "=" for o in table["option"]]


def first_words(table):
    return list(dict.fromkeys(words(c)[0] for c in table["command"]))


def second_words(table):
    found = {}
    for command in table["command"]:
        if len(words(command)) > 1:
            found.setdefault(words(command)[0], []).append(words(command)[1])
    found["help"] = [w for w in first_words(table) if w != "help"] + ["options"]
    return found


# ---- bash: no help from the bash-completion package is needed ----

BASH = r"""# Completion of p2p for bash. Made of the command's own tables.

_p2p_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word"); }
_p2p_files() {
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
}

# bash takes "--name=value" apart into three words.
_p2p() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local command= second= key= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        =) ;;
        @VALUED@)
            ((i += 1))
            if [[ ${COMP_WORDS[i]} == = ]]; then
                ((i += 1))
            elif [[ ${COMP_WORDS[i+1]} == = ]]; then
                ((i += 2))
            fi
            ;;
        -*) ;;
        *)
            if [[ -z $command ]]; then
                command=${COMP_WORDS[i]}
            elif [[ -z $second ]]; then
                second=${COMP_WORDS[i]}
            fi
            ;;
        esac
    done
    if [[ $word == = ]]; then
        word=
        key=$previous
        [[ ${COMP_WORDS[COMP_CWORD-2]} != -o ]] || previous=key
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
        key=$previous
        [[ ${COMP_WORDS[COMP_CWORD-3]} != -o ]] || previous=key
    fi
    case $previous in
    key) [[ -z $key || " @BOOLS@ " != *" $key "* ]] || _p2p_words 'true false'
        [[ -n $key ]] && return 0 ;;
@VALUES@
    esac
    case $command/$second in
    /) _p2p_words '@COMMANDS@' ;;
@OPTIONS@
    esac
}
complete -F _p2p p2p
"""


def bash_value(table, option):
    if option["choices"]:
        return f"_p2p_words '{' '.join(option['choices'])}'"
    if option["value"] in FILES:
        return "_p2p_files"
    if flag(option) == "-o":
        return f"compopt -o nospace; _p2p_words '{' '.join(settings(table))}'"
    return ":"


def bash(table):
    valued = [o for o in all_options(table).values() if o["value"]]
    values = [f"    {'|'.join(flags(o))}) {bash_value(table, o)}; return 0 ;;" for o in valued]
    options = [f"    {word}/) _p2p_words '{' '.join(more)}' ;;"
               for word, more in second_words(table).items()]
    for command in table["command"]:
        names = " ".join(f for o in command["options"] for f in flags(o))
        action = f"_p2p_words '{names}'"
        if command["argument"] == "FILE":
            action = f"if [[ $word == -* ]]; then {action}; else _p2p_files; fi"
        first, last = words(command)[0], words(command)[-1]
        options.append(f"    {first}/{last if first != last else '*'}) {action} ;;")
    bools = [o["name"] for o in table["option"] if o["kind"] == "bool"]
    return (BASH.replace("@VALUED@", "|".join(f for o in valued for f in flags(o)))
            .replace("@VALUES@", "\n".join(values)).replace("@COMMANDS@", " ".join(first_words(table)))
            .replace("@OPTIONS@", "\n".join(options)).replace("@BOOLS@", " ".join(bools)))


# ---- zsh ----

def zsh_text(text):
    """For within single quotes, where a colon or bracket ends a description."""
    for character in "\\[]:":
        text = text.replace(character, "\\" + character)
    return text.replace("'", "'\\''")


def zsh_value(table, option):
    if not option["value"]:
        return ""
    if option["choices"]:
        return f":{option['value']}:({' '.join(option['choices'])})"
    if option["value"] in FILES:
        return f":{option['value']}:_files"
    if flag(option) == "-o":
        return f":{option['value']}:_p2p_settings"
    return f":{option['value']}: "


def zsh_options(table, command):
    lines = []
    for option in command["options"]:
        text = f"[{zsh_text(option['help'])}]" + zsh_value(table, option)
        for name in flags(option):
            mark = "=" if option["value"] and name.startswith("--") else ""
            lines.append(f"'*{name}{mark}{text}'")
    if command["argument"] == "FILE":
        lines.append("'1:FILE:_files'")
    elif command["argument"]:
        lines.append(f"'1:{command['argument']}: '")
    return " \\\n        ".join(lines)


def zsh(table):
    out = ["#compdef p2p", "# Completion of p2p for zsh. Made of the command's own tables.", "",
           "_p2p_settings() {", "    local -a settings=("]
    out += [f"        '{o['name']}\\:{zsh_text(o['help'])}'".replace("\\:", ":", 1) for o in table["option"]]
    out += ["    )", "    _describe -t settings option settings -S = -q", "}", "", "_p2p() {",
            "    local -a commands=("]
    summaries = {}
    for command in table["command"]:
        summaries.setdefault(words(command)[0], command["summary"])
    out += [f"        '{w}:{zsh_text(s)}'" for w, s in summaries.items()]
    out += ["    )", "    local curcontext=$curcontext state line", "    typeset -A opt_args",
            "    _arguments -C '1:command:->command' '*::argument:->argument'",
            "    case $state in", "    command) _describe -t commands command commands ;;",
            "    argument)", "        case $line[1] in"]
    second = second_words(table)
    for word in first_words(table):
        of_word = [c for c in table["command"] if words(c)[0] == word]
        out.append(f"        {word})")
        if word in second:
            out += ["            if (( CURRENT == 2 )); then",
                    f"                _values subcommand {' '.join(second[word])}", "                return",
                    "            fi"]
        if len(of_word) == 1:
            out.append(f"            _arguments {zsh_options(table, of_word[0])}")
        else:
            out.append("            case $words[2] in")
            for command in of_word:
                out.append(f"            {words(command)[1]}) shift words; (( CURRENT-- ))\n"
                           f"                _arguments {zsh_options(table, command)} ;;")
            out.append("            esac")
        out.append("            ;;")
    out += ["        esac ;;", "    esac", "}", "", '_p2p "$@"', ""]
    return "\n".join(out)


# ---- fish ----

def fish_text(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(table):
    out = ["# Completion of p2p for fish. Made of the command's own tables.", "complete -c p2p -f"]
    firsts, second = first_words(table), second_words(table)
    none = f"not __fish_seen_subcommand_from {' '.join(firsts)}"
    summaries = {}
    for command in table["command"]:
        summaries.setdefault(words(command)[0], command["summary"])
    for word, summary in summaries.items():
        out.append(f"complete -c p2p -n {fish_text(none)} -a {word} -d {fish_text(summary)}")
    for word, more in second.items():
        test = (f"__fish_seen_subcommand_from {word}; "
                f"and not __fish_seen_subcommand_from {' '.join(m for m in more if m != word)}")
        out.append(f"complete -c p2p -n {fish_text(test)} -a {fish_text(' '.join(more))}")
    for command in table["command"]:
        test = "; and ".join(f"__fish_seen_subcommand_from {w}" for w in words(command))
        if command["argument"] == "FILE":
            out.append(f"complete -c p2p -n {fish_text(test)} -F")
        for option in command["options"]:
            parts = [f"complete -c p2p -n {fish_text(test)}"]
            if option["letter"]:
                parts.append(f"-s {option['letter']}")
            if option["name"]:
                parts.append(f"-l {option['name']}")
            if option["value"]:
                parts.append("-r" if option["value"] in FILES else "-x")
            if option["choices"]:
                parts.append(f"-a {fish_text(' '.join(option['choices']))}")
            elif option["value"] in FILES:
                parts.append("-F")
            elif flag(option) == "-o":
                parts.append(f"-a {fish_text(' '.join(settings(table)))}")
            out.append(" ".join([*parts, f"-d {fish_text(option['help'])}"]))
    return "\n".join(out) + "\n"


def main():
    table, out = tables(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name, make in (("p2p", bash), ("_p2p", zsh), ("p2p.fish", fish)):
        (out / name).write_text(make(table))


if __name__ == "__main__":
    main()
