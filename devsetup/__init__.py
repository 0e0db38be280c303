"""Setting this folder up; needs only the standard library of Python 3.8 and later (see dev.py)."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
