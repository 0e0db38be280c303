#!/bin/sh
# After the app was uploaded: are its functions there, and does an event come through?
set -eu
cd "$(dirname "$0")/../.."
python3 infra/hooks/functions.py
# The smoke needs the SDKs: they are in the environment that `make setup` or `make run` made.
if [ ! -x .venv/bin/python ]; then
    echo "No event was sent, since .venv is not there: \`python3 dev.py setup\` makes it, then type \`azd hooks run postdeploy\`." >&2
    exit 1
fi
exec .venv/bin/python infra/hooks/smoke.py
