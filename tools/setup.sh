#!/bin/sh
# Picks a Python for `python -m tools.setup` and hands over to it; all arguments go through.
#
# A finished .venv is asked first: that is the everyday case and costs one interpreter start. Else the first of python3,
# python3.14 ... python3.11 on the PATH that is new enough ($PYTHON, where given, is the only one tried). A candidate is
# run, not only looked up: version managers leave commands on the PATH that stand for no installed Python.
cd "$(dirname "$0")/.." || exit 1

# -E -s: settings of the user's own Python do not reach in; -S: no site packages, which saves 20 ms.
if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ] && .venv/bin/python -E -s -S -c '' 2>/dev/null; then
    exec .venv/bin/python -E -s -S -m tools.setup "$@"
fi

found=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    version=$("$candidate" -E -s -S -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))' 2>/dev/null)
    case $? in
        0) exec "$candidate" -E -s -S -m tools.setup "$@" ;;
        *) [ -n "$version" ] && found="$found $candidate is $version," ;;
    esac
done

if [ -n "$found" ]; then
    echo "make: TenantHub needs Python 3.11 or newer:${found%,}. Install a newer one, or name it: make PYTHON=/path/to/python3.12 …" >&2
elif [ -n "${PYTHON:-}" ]; then
    echo "make: PYTHON=$PYTHON does not run. Name a Python 3.11 or newer." >&2
else
    echo "make: no Python found on the PATH. TenantHub needs Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)." >&2
fi
exit 1
