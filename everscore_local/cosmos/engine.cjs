// Holds the documents in @vercel/cosmosdb-server and answers SQL from them, in frames over stdin and stdout.
//
// A frame is a length (4 bytes, big-endian) and that many bytes of JSON; an answer is a JSON line and then the
// documents. The end of stdin is the end of the gateway, and so of this process.
"use strict";

const path = require("path");
const { createRequire } = require("module");

const nodeModules = process.argv[2];
const load = createRequire(path.join(path.resolve(nodeModules), "anchor.js"));
const serverFile = load.resolve("@vercel/cosmosdb-server");
const serverLoad = createRequire(serverFile);
const Account = serverLoad("./account").default;
const { default: parseQuery, SyntaxError: QuerySyntaxError } = serverLoad("@zeit/cosmosdb-query");
const queryFolder = path.dirname(serverLoad.resolve("@zeit/cosmosdb-query"));
const helpers = require(path.join(queryFolder, "helpers.js"));

console.log = console.error; // stdout is the gateway's

// The library copies its accumulator for each element, which takes seconds for 20,000 documents.
helpers.stripUndefined = function stripUndefined(value) {
  if (Array.isArray(value)) {
    return value.filter(part => part !== undefined).map(stripUndefined);
  }
  if (value && typeof value === "object") {
    const result = {};
    for (const name of Object.keys(value)) {
      if (value[name] !== undefined) result[name] = stripUndefined(value[name]);
    }
    return result;
  }
  return value;
};

// The generated code builds its rows as `rows.reduce(($, row) => [...$, …], [])`: the same here, in linear time.
class Rows extends Array {
  reduce(step, initial) {
    if (!Array.isArray(initial) || initial.length) return super.reduce(step, initial);
    const result = new Rows();
    for (const row of this) for (const made of step(initial, row)) result.push(made);
    return result;
  }
}
const rowsOf = documents => {
  const rows = new Rows();
  for (const document of documents) rows.push(document);
  return rows;
};

const account = new Account("127.0.0.1", 0);
const containers = new Map(); // rid of the gateway → {collection, partitions: key → rid → document}
const cursors = new Map(); // what is left of answers longer than a page
const CURSORS_KEPT = 32;
const PAGE_BYTES = 4 * 1024 * 1024 - 4096;
const queries = new Map();
const QUERIES_KEPT = 200;

account.databases.create({ id: "everything" });
const database = account.database("everything");

class BadQuery extends Error {}

function define({ c, definition }) {
  const known = containers.get(c);
  if (known) {
    known.definition = definition;
    return;
  }
  database.collections.create({ ...definition, id: c });
  containers.set(c, { definition, documents: database.collection(c).documents, partitions: new Map(), count: 0 });
}

function drop({ c }) {
  if (!containers.delete(c)) return;
  database.collections.delete(c, c);
}

function put({ c, pk, docs }) {
  const container = containers.get(c);
  let partition = container.partitions.get(pk);
  if (!partition) container.partitions.set(pk, (partition = new Map()));
  for (const document of docs) {
    if (!partition.has(document._rid)) container.count += 1;
    partition.set(document._rid, document);
    container.documents._set(document);
  }
}

function remove({ c, pk, rids }) {
  const container = containers.get(c);
  const partition = container.partitions.get(pk);
  for (const rid of rids) {
    const document = partition && partition.get(rid);
    if (!document) continue;
    partition.delete(rid);
    container.documents._data.delete(rid);
    container.count -= 1;
  }
  if (partition && !partition.size) container.partitions.delete(pk);
}

function number(text, parameters) {
  if (!text.startsWith("@")) return Number(text);
  const found = (parameters || []).find(({ name }) => name === text);
  if (!found || !Number.isInteger(found.value) || found.value < 0) {
    throw new BadQuery(`${text} is not given, or no whole number.`);
  }
  return found.value;
}

// What the library's grammar has not: OFFSET … LIMIT, DISTINCT, GROUP BY.
function dissect(sql) {
  const known = queries.get(sql);
  if (known) return known;
  let text = sql.trim().replace(/;\s*$/, "");
  const plan = { offset: null, limit: null, distinct: false, top: null, groupBy: null };
  text = text.replace(/\s+OFFSET\s+(\d+|@\w+)\s+LIMIT\s+(\d+|@\w+)\s*$/i, (_, offset, limit) => {
    plan.offset = offset;
    plan.limit = limit;
    return "";
  });
  text = text.replace(/^SELECT\s+DISTINCT\s+(?:TOP\s+(\d+|@\w+)\s+)?/i, (_, top) => {
    plan.distinct = true;
    plan.top = top || null;
    return "SELECT ";
  });
  text = text.replace(/\s+GROUP\s+BY\s+([\w.[\]"']+(?:\s*,\s*[\w.[\]"']+)*)\s*$/i, (_, keys) => {
    plan.groupBy = keys.split(",").map(key => key.trim());
    return "";
  });
  plan.query = parseQuery(text);
  plan.text = text;
  const { select, from, where, orderBy, top } = plan.query.ast.body;
  plan.counts =
    /^SELECT\s+VALUE\s+COUNT\s*\(\s*1\s*\)\s+FROM\s+\w+$/i.test(text) && !plan.groupBy && !plan.distinct && !!select;
  if (plan.groupBy) {
    if (orderBy || top || (from && from.joins.length)) {
      throw new BadQuery("The stand-in knows GROUP BY without ORDER BY, TOP and JOIN only.");
    }
    const root = (from.source.alias || from.source.expression.expression).name;
    const fields = plan.groupBy.map((key, i) => `"k${i}": ${key}`).join(", ");
    const tail = text.slice(text.search(/\sFROM\s/i));
    plan.keys = parseQuery(`SELECT VALUE {"row": ${root}, "key": {${fields}}}${tail}`);
    void where;
  }
  if (queries.size >= QUERIES_KEPT) queries.delete(queries.keys().next().value);
  queries.set(sql, plan);
  return plan;
}

function run(query, documents, options) {
  return query.exec(documents, options).result;
}

function evaluate({ c, pk, query, parameters }) {
  const container = containers.get(c);
  const plan = dissect(query);
  const partition = pk === null ? null : container.partitions.get(pk);
  if (plan.counts && plan.limit === null) return [pk === null ? container.count : partition ? partition.size : 0];
  const indexing = container.definition.indexingPolicy || {};
  const options = { parameters, udf: {}, compositeIndexes: indexing.compositeIndexes || [] };
  const documents = rowsOf(
    pk === null ? [...container.documents._data.values()].map(item => item.read()) : partition ? partition.values() : []
  );
  let result;
  if (plan.groupBy) {
    const groups = new Map();
    for (const { row, key } of run(plan.keys, documents, options)) {
      const name = JSON.stringify(key);
      if (!groups.has(name)) groups.set(name, new Rows());
      groups.get(name).push(row);
    }
    result = [...groups.values()].map(rows => run(plan.query, rows, options)[0]);
  } else {
    result = run(plan.query, documents, options);
  }
  if (plan.distinct) {
    const seen = new Map();
    for (const row of result) {
      const name = JSON.stringify(row);
      if (!seen.has(name)) seen.set(name, row);
    }
    result = [...seen.values()];
    if (plan.top !== null) result = result.slice(0, number(plan.top, parameters));
  }
  if (plan.limit !== null) {
    const offset = number(plan.offset, parameters);
    result = result.slice(offset, offset + number(plan.limit, parameters));
  }
  return result;
}

function answerQuery(frame) {
  let offset = 0;
  let cursor = null;
  if (frame.continuation) {
    // The answer as it was when the first page was read; evaluated anew where it was dropped meanwhile.
    const [, name, from] = /^(\w+):(\d+)$/.exec(frame.continuation) || [];
    if (!name) throw new BadQuery("The continuation token is not one of this stand-in.");
    cursor = cursors.get(name) ? { name, rows: cursors.get(name) } : null;
    offset = Number(from);
  }
  const rows = cursor ? cursor.rows : evaluate(frame);
  const parts = [];
  let bytes = 0;
  let next = offset;
  while (next < rows.length && parts.length < frame.max) {
    const text = JSON.stringify(rows[next]);
    if (text !== undefined) {
      const size = Buffer.byteLength(text) + 1;
      if (parts.length && bytes + size > PAGE_BYTES) break;
      bytes += size;
      parts.push(text);
    }
    next += 1;
  }
  let continuation = null;
  if (next < rows.length) {
    const name = cursor ? cursor.name : `${process.pid}x${frame.n}`;
    cursors.delete(name);
    cursors.set(name, rows);
    if (cursors.size > CURSORS_KEPT) cursors.delete(cursors.keys().next().value);
    continuation = `${name}:${next}`;
  } else if (cursor) {
    cursors.delete(cursor.name);
  }
  return [{ n: frame.n, count: parts.length, continuation }, `[${parts.join(",")}]`];
}

function send(header, body) {
  const payload = Buffer.from(`${JSON.stringify(header)}\n${body}`);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  process.stdout.write(length);
  process.stdout.write(payload);
}

function handle(frame) {
  switch (frame.op) {
    case "put":
      return put(frame);
    case "remove":
      return remove(frame);
    case "define":
      return define(frame);
    case "drop":
      return drop(frame);
    default:
  }
  try {
    if (frame.op === "ping") return send({ n: frame.n, count: 0 }, "[]");
    return send(...answerQuery(frame));
  } catch (error) {
    const known = error instanceof QuerySyntaxError || error instanceof BadQuery || error instanceof Error;
    if (!known) throw error;
    const prefix = error instanceof QuerySyntaxError ? "Syntax error: " : "";
    return send({ n: frame.n, count: 0, error: prefix + error.message }, "[]");
  }
}

let chunks = [];
let held = 0;
let wanted = 4;
function take(size) {
  const all = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, held);
  chunks = held > size ? [all.subarray(size)] : [];
  held -= size;
  return all.subarray(0, size);
}
let inBody = false;
process.stdin.on("data", chunk => {
  chunks.push(chunk);
  held += chunk.length;
  while (held >= wanted) {
    if (inBody) {
      handle(JSON.parse(take(wanted).toString()));
      wanted = 4;
    } else {
      wanted = take(4).readUInt32BE();
    }
    inBody = !inBody;
  }
});
process.stdin.on("end", () => process.exit(0));
// The terminal sends its interrupt to the whole group; it is the gateway that decides when to stop.
process.on("SIGINT", () => {});
