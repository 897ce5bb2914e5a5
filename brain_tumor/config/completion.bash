# Completion of brain-tumor: the commands here, groups and keys by Hydra.
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
_brain_tumor() {
    local word="${COMP_WORDS[COMP_CWORD]}" choices
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "@COMMANDS@ --help" -- "$word"))
        [[ ${#COMPREPLY[@]} -eq 1 ]] && COMPREPLY[0]+=" "
        return
    fi
    # Hydra takes the first word for the program's name.
    local line="brain-tumor ${COMP_WORDS[*]:2:COMP_CWORD-1}"
    choices=$(COMP_LINE="$line" COMP_POINT=${#line} "${COMP_WORDS[0]}" "${COMP_WORDS[1]}" -sc query=bash 2>/dev/null)
    COMPREPLY=($(compgen -o nospace -o default -W "$choices" -- "$word"))
}
complete -o nospace -o default -F _brain_tumor brain-tumor
