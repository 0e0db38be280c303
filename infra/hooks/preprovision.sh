#!/bin/sh
# Before anything is made: does the region offer Flex Consumption with the Python that the app is built for?
set -eu
exec python3 "$(dirname "$0")/preprovision.py"
