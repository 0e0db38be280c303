"""What tests of several folders share: servers, copies of the app, a worker alone, the whole stack."""
