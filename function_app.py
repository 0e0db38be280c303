# The marker that Azure tools look for. Python imports the package function_app/ beside it instead, which
# holds the app: what is written here never runs.
