#!/bin/sh
# Before anything is made: would it fail for the environment's name, the region or the network?
set -eu
exec python3 "$(dirname "$0")/preprovision.py"
