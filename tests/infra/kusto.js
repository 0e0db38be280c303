// Reads {name: query} from standard input and prints what Microsoft's own parser of Kusto says of the queries,
// as a JSON array of texts. The argument is the folder of @kusto/language-service-next.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

for (const name of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(process.argv[2], name), "utf8"), name);
}

// Of the tables of Application Insights, the columns that are used here.
const common = "timestamp:datetime, customDimensions:dynamic, operation_Name:string, itemCount:int";
const tables = {
  customMetrics: `${common}, name:string, value:real, valueCount:int, valueSum:real, valueMin:real, valueMax:real`,
  requests: `${common}, name:string, success:string, resultCode:string, duration:real`,
  traces: common,
  exceptions: common,
  dependencies: common,
};

const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;
const symbols = Object.entries(tables).map(([name, columns]) =>
  Symbols.TableSymbol.From(`(${columns})`).WithName(name),
);
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("insights", symbols));

const said = [];
for (const [name, query] of Object.entries(JSON.parse(fs.readFileSync(0, "utf8")))) {
  const found = KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
  for (let index = 0; index < found.Count; index += 1) {
    const each = found.getItem(index);
    if (each.Severity !== "Suggestion") said.push(`${name}: ${each.Severity} ${each.Code} ${each.Message}`);
  }
}
console.log(JSON.stringify(said));
