// Loaded into Azurite's process ahead of Azurite: leaves Application Insights out.
// Azurite loads that library even where its telemetry is off, and then never calls it; with the
// packages that come along it is more than half of the time that Azurite takes to start.
"use strict";

const Module = require("node:module");

const load = Module._load;
Module._load = function (request, ...rest) {
  return request === "applicationinsights" ? {} : load.call(this, request, ...rest);
};
