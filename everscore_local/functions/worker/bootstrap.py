"""Entry of the child process: ``python -P bootstrap.py FD APP_DIR PARENT_PID``.

Loads the package around it under a private name, so that neither this folder nor the host's packages get
onto the import path of the app.
"""

import importlib.util
import sys
from pathlib import Path

PACKAGE = "_local_functions_worker"


def _main() -> None:
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder} is not a package")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    child = importlib.import_module(f"{PACKAGE}.child")
    child.run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))


_main()
