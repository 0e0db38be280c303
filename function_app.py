# The marker that Azure tools look for. Python imports the package function_app/ beside it instead: the app is there.
