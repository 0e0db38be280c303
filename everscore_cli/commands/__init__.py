"""The sub-commands, one function each; `everscore_cli.main` has the table of them."""
