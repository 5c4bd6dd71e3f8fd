#!/usr/bin/env bash
# ./go study [overrides]     python -m autoresearch in a virtual environment of its own
# ./go test  [pytest args]   the tests, in the same environment
# The environment lives in .venv; it is made once and updated when pyproject.toml changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

find_python() {
    local candidates=${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14} python
    for python in $candidates; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
    echo "go: none of '$candidates' is a Python of at least 3.11 with venv; install one" \
        "(Debian, Ubuntu: apt install python3-venv) or name it: PYTHON=/path/to/python ./go …" >&2
    return 2
}

setup() {
    if [ ! -x .venv/bin/python ]; then
        local python
        python=$(find_python)
        echo "go: making .venv with $("$python" --version)" >&2
        "$python" -m venv .venv
    fi
    if ! cmp -s pyproject.toml .venv/installed.toml; then
        echo "go: installing what pyproject.toml names into .venv (about a minute)" >&2
        .venv/bin/python -m pip install -qq --disable-pip-version-check -e ".[test]" >&2
        cp pyproject.toml .venv/installed.toml
    fi
}

verb=${1:-}
[ $# -eq 0 ] || shift
case "$verb" in
    study)
        setup
        case " $* " in *ladder=*) ;; *) set -- +ladder=nanochat "$@" ;; esac
        exec .venv/bin/python -m autoresearch "$@"
        ;;
    test)
        setup
        exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
        ;;
    setup) setup ;;
    *)
        echo "go: '$verb' is no verb; type ./go study [overrides] or ./go test [pytest args]" >&2
        exit 2
        ;;
esac
