// SQL over arrays of documents: the npm server's query library, made fast enough, and what its grammar lacks
// (OFFSET … LIMIT, DISTINCT, GROUP BY).
"use strict";

const path = require("path");

const QUERIES_KEPT = 200;
const AGGREGATES = new Set(["AVG", "COUNT", "MAX", "MIN", "SUM"]);

class BadQuery extends Error {}

// The generated code builds its rows as `rows.reduce(($, row) => [...$, …], [])`, which copies all rows for each
// row: seconds for 20,000 documents. On these arrays the same expression takes linear time.
class Rows extends Array {
  reduce(step, initial) {
    if (!Array.isArray(initial) || initial.length) return super.reduce(step, initial);
    const result = new Rows();
    for (const row of this) for (const made of step(initial, row)) result.push(made);
    return result;
  }
}

function rowsOf(documents) {
  const rows = new Rows();
  for (const document of documents) rows.push(document);
  return rows;
}

// The library's own copies its accumulator for each property and element.
function stripUndefined(value) {
  if (Array.isArray(value)) return value.filter(part => part !== undefined).map(stripUndefined);
  if (value && typeof value === "object") {
    const result = {};
    for (const name of Object.keys(value)) {
      if (value[name] !== undefined) result[name] = stripUndefined(value[name]);
    }
    return result;
  }
  return value;
}

function isAggregate(node) {
  if (!node || typeof node !== "object") return false;
  if (node.type === "scalar_function_expression" && AGGREGATES.has(node.name.name.toUpperCase())) return true;
  return Object.values(node).some(isAggregate);
}

function nameOf({ property, alias }, position) {
  if (alias) return alias.name;
  if (property.type !== "scalar_member_expression") return `$${position + 1}`;
  return property.computed ? String(property.property.value) : property.property.name;
}

// The property paths that a query sorts by; of joins and expressions nothing is known.
function sortedPaths({ from, orderBy }) {
  if (!orderBy || !from || from.joins.length) return [];
  const paths = [];
  for (let { expression: node } of orderBy.expressions) {
    const names = [];
    while (node.type === "scalar_member_expression") {
      names.unshift(node.computed ? String(node.property.value) : node.property.name);
      node = node.object;
    }
    if (node.type === "identifier" && names.length) paths.push(names);
  }
  return paths;
}

// How closely a path of an indexing policy, such as /a/?, /"a b"/[]/? or /*, names a property; 0 where it does not.
function closeness(path, names) {
  const parts = path.split("/").slice(1).map(part => part.replace(/^"(.*)"$/, "$1"));
  const end = parts.pop();
  if (end === "?" ? parts.length !== names.length : parts.length > names.length) return 0;
  if (parts.some((part, i) => part !== names[i] && !(part === "[]" && /^\d+$/.test(names[i])))) return 0;
  return 2 * parts.length + (end === "?" ? 2 : 1);
}

// `id` and `_ts` are indexed whatever the policy says.
function isIndexed(names, { includedPaths, excludedPaths }) {
  if (names.length === 1 && (names[0] === "id" || names[0] === "_ts")) return true;
  const best = paths => Math.max(0, ...(paths || []).map(({ path }) => closeness(path, names)));
  return best(includedPaths) > best(excludedPaths);
}

// `load` is a require() that finds the npm server's own dependencies.
exports.makeSql = load => {
  const { default: parse, SyntaxError: QuerySyntaxError } = load("@zeit/cosmosdb-query");
  require(path.join(path.dirname(load.resolve("@zeit/cosmosdb-query")), "helpers.js")).stripUndefined = stripUndefined;
  const plans = new Map();

  function withSelect(text, value) {
    const query = parse(text);
    query.ast.body.select = { type: "select_specification", value };
    return query;
  }

  function planGroups(text, keys) {
    const { select, from, orderBy, top } = parse(text).ast.body;
    if (orderBy || top || !from || from.joins.length) {
      throw new BadQuery("The stand-in knows GROUP BY without ORDER BY, TOP and JOIN only.");
    }
    if (!select.value && !select.properties) throw new BadQuery("SELECT * does not go with GROUP BY.");
    const root = (from.source.alias || from.source.expression.expression).name;
    const fields = keys.map((key, i) => `"k${i}": ${key}`).join(", ");
    const parts = select.value ? [{ property: select.value }] : select.properties.properties;
    return {
      rows: withSelect(text, parse(`SELECT VALUE {"row": ${root}, "key": {${fields}}} FROM ${root}`).ast.body.select.value),
      isValue: Boolean(select.value),
      parts: parts.map((part, position) => ({
        name: nameOf(part, position),
        aggregates: isAggregate(part.property),
        query: withSelect(text, part.property)
      }))
    };
  }

  function makePlan(sql) {
    const plan = { offset: null, limit: null, distinct: false, top: null, groups: null };
    let keys = null;
    const text = sql
      .trim()
      .replace(/\s*;$/, "")
      .replace(/\s+OFFSET\s+(\d+|@\w+)\s+LIMIT\s+(\d+|@\w+)$/i, (_, offset, limit) => {
        plan.offset = offset;
        plan.limit = limit;
        return "";
      })
      .replace(/^SELECT\s+DISTINCT\s+(?:TOP\s+(\d+|@\w+)\s+)?/i, (_, top) => {
        plan.distinct = true;
        plan.top = top || null;
        return "SELECT ";
      })
      .replace(/\s+GROUP\s+BY\s+([\w.[\]"']+(?:\s*,\s*[\w.[\]"']+)*)$/i, (_, list) => {
        keys = list.split(",").map(key => key.trim());
        return "";
      });
    if (keys) plan.groups = planGroups(text, keys);
    else plan.query = parse(text);
    plan.sortedPaths = plan.query ? sortedPaths(plan.query.ast.body) : [];
    plan.countsAll = !keys && /^SELECT\s+VALUE\s+COUNT\s*\(\s*1\s*\)\s+FROM\s+\w+$/i.test(text);
    return plan;
  }

  function planOf(sql) {
    let plan = plans.get(sql);
    if (!plan) {
      plan = makePlan(sql);
      if (plans.size >= QUERIES_KEPT) plans.delete(plans.keys().next().value);
      plans.set(sql, plan);
    }
    return plan;
  }

  function wholeNumber(text, parameters) {
    if (!text.startsWith("@")) return Number(text);
    const found = (parameters || []).find(({ name }) => name === text);
    if (!found || !Number.isInteger(found.value) || found.value < 0) {
      throw new BadQuery(`${text} is not given, or no whole number.`);
    }
    return found.value;
  }

  function group({ rows, isValue, parts }, documents, options) {
    const groups = new Map();
    for (const { row, key } of rows.exec(documents, options).result) {
      const name = JSON.stringify(key);
      if (!groups.has(name)) groups.set(name, new Rows());
      groups.get(name).push(row);
    }
    return [...groups.values()].map(members => {
      const made = {};
      for (const { name, aggregates, query } of parts) {
        [made[name]] = query.exec(aggregates ? members : rowsOf([members[0]]), options).result;
      }
      return isValue ? made[parts[0].name] : stripUndefined(made);
    });
  }

  // Returns the whole result. `documents` is called only where they are needed; `count` is how many there are.
  function evaluate(sql, { parameters, indexingPolicy, documents, count }) {
    const plan = planOf(sql);
    if (!plan.sortedPaths.every(names => isIndexed(names, indexingPolicy))) {
      throw new BadQuery("The index path corresponding to the specified order-by item is excluded.");
    }
    const options = { parameters, udf: {}, compositeIndexes: indexingPolicy.compositeIndexes || [] };
    let result;
    if (plan.countsAll) result = [count];
    else if (plan.groups) result = group(plan.groups, rowsOf(documents()), options);
    else result = plan.query.exec(rowsOf(documents()), options).result;
    if (plan.distinct) {
      const seen = new Map();
      for (const row of result) {
        const name = JSON.stringify(row);
        if (!seen.has(name)) seen.set(name, row);
      }
      result = [...seen.values()];
      if (plan.top !== null) result = result.slice(0, wholeNumber(plan.top, parameters));
    }
    if (plan.limit === null) return result;
    const offset = wholeNumber(plan.offset, parameters);
    return result.slice(offset, offset + wholeNumber(plan.limit, parameters));
  }

  function describe(error) {
    return error instanceof QuerySyntaxError ? `Syntax error: ${error.message}` : error.message;
  }

  return { evaluate, describe, BadQuery };
};
