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
const sql = require("./sql.cjs").makeSql(serverLoad);

console.log = console.error; // stdout is the gateway's

const account = new Account("127.0.0.1", 0);
const containers = new Map(); // rid of the gateway → {collection, partitions: key → rid → document}
const cursors = new Map(); // what is left of answers longer than a page
const CURSORS_KEPT = 32;
const PAGE_BYTES = 4 * 1024 * 1024 - 4096;

account.databases.create({ id: "everything" });
const database = account.database("everything");

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
  if (!container) return; // dropped meanwhile
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
  if (!container) return;
  const partition = container.partitions.get(pk);
  for (const rid of rids) {
    const document = partition && partition.get(rid);
    if (!document) continue;
    partition.delete(rid);
    container.documents.delete(rid, pk);
    container.count -= 1;
  }
  if (partition && !partition.size) container.partitions.delete(pk);
}

function evaluate({ c, pk, query, parameters }) {
  const container = containers.get(c);
  if (!container) throw new sql.BadQuery("The container was deleted.");
  const partition = pk === null ? null : container.partitions.get(pk);
  const everything = pk === null;
  return sql.evaluate(query, {
    parameters,
    indexingPolicy: container.definition.indexingPolicy,
    count: everything ? container.count : partition ? partition.size : 0,
    documents: () => {
      if (!everything) return partition ? partition.values() : [];
      return [...container.documents._data.values()].map(item => item.read());
    }
  });
}

function answerQuery(frame) {
  let offset = 0;
  let cursor = null;
  if (frame.continuation) {
    // The answer as it was when the first page was read; evaluated anew where it was dropped meanwhile.
    const [, name, from] = /^(\w+):(\d+)$/.exec(frame.continuation) || [];
    if (!name) throw new sql.BadQuery("The continuation token is not one of this stand-in.");
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
    return send({ n: frame.n, count: 0, error: sql.describe(error) }, "[]");
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
