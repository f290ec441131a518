/**
 * The parts of the Cloudflare API v4 that the plugins use, on loopback: zones, DNS records, Workers KV.
 *
 * As the real one: everything is in an envelope with numbered errors; a token sees only what it has the right to; more than
 * `limit` calls in 5 minutes block everything for 5 minutes; identical records are refused, others of one name are not; a TXT
 * content stays as it was written, but longer ones are split into quoted strings; a name outside the zone gets the zone's
 * name appended. Stricter than the real one: a path, parameter or member it does not know is an error.
 */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { type Clock, systemClock } from "../../src/clock.ts";
import { serve } from "./http-server.ts";

export const TOKEN = "v1abcdefghijklmnopqrstuvwxyz0123456789AB";
const WINDOW_MS = 300_000;
export type Right = "Zone:Read" | "DNS:Edit" | "KV:Edit";

export interface FakeRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  content: string;
  ttl: number;
  comment: string | null;
  readonly created_on: string;
  modified_on: string;
}

interface Zone {
  id: string;
  readonly name: string;
  readonly records: FakeRecord[];
}

/** What to do with a request instead of answering it; undefined answers it. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface FakeCloudflare {
  /** Ends with /client/v4. */
  readonly apiUrl: string;
  readonly account: string;
  readonly namespace: string;
  readonly zones: Zone[];
  readonly values: Map<string, { value: string; expiresAtMs: number | undefined }>;
  readonly rights: Set<Right>;
  /** "METHOD /path?query" below /client/v4, decoded. */
  readonly calls: string[];
  /** Bodies of the calls, as text. */
  readonly bodies: string[];
  /** Most records of a zone. */
  recordQuota: number;
  fault: Fault | undefined;
  lastHeaders(): IncomingMessage["headers"];
  /** Adds a record as the dashboard would, with the content as it is given. */
  addRecord(name: string, content: string, type?: string): FakeRecord;
  stop(): Promise<void>;
}

interface FakeOptions {
  readonly clock?: Clock;
  readonly zones?: readonly string[];
  /** Calls in 5 minutes. */
  readonly limit?: number;
  readonly port?: number;
  readonly account?: string;
  readonly namespace?: string;
}

interface ApiError {
  readonly status: number;
  readonly errors: readonly { readonly code: number; readonly message: string; readonly error_chain?: unknown }[];
}

function refusal(status: number, code: number, message: string): ApiError {
  return { status, errors: [{ code, message }] };
}

function isRefusal(value: unknown): value is ApiError {
  return typeof value === "object" && value !== null && "status" in value && "errors" in value;
}

export function newId(): string {
  return randomBytes(16).toString("hex");
}

export async function startFakeCloudflare(t: TestContext, options: FakeOptions = {}): Promise<FakeCloudflare> {
  const { clock = systemClock, limit = Number.POSITIVE_INFINITY } = options;
  const zones = (options.zones ?? ["example.com"]).map((name): Zone => ({ id: newId(), name, records: [] }));
  let changes = 0;
  let callTimes: number[] = [];
  let blockedUntilMs = 0;

  /** With microseconds, as the real one, and never the same twice. */
  function now(): string {
    changes++;
    return new Date(clock.now()).toISOString().replace("Z", `${String(changes % 1000).padStart(3, "0")}Z`);
  }

  const fake: Omit<FakeCloudflare, "apiUrl" | "lastHeaders" | "stop"> = {
    account: options.account ?? newId(),
    namespace: options.namespace ?? newId(),
    zones,
    values: new Map(),
    rights: new Set<Right>(["Zone:Read", "DNS:Edit", "KV:Edit"]),
    calls: [],
    bodies: [],
    recordQuota: 100_000,
    fault: undefined,
    addRecord(name, content, type = "TXT") {
      const at = now();
      const record = { id: newId(), name, type, content, ttl: 1, comment: null, created_on: at, modified_on: at };
      zones.find((zone) => name.endsWith(`.${zone.name}`))?.records.push(record);
      return record;
    },
  };

  function overLimit(): number | undefined {
    const nowMs = clock.now();
    if (blockedUntilMs > nowMs) return blockedUntilMs - nowMs;
    callTimes = callTimes.filter((at) => at > nowMs - WINDOW_MS);
    callTimes.push(nowMs);
    if (callTimes.length <= limit) return undefined;
    blockedUntilMs = nowMs + WINDOW_MS;
    return WINDOW_MS;
  }

  function checkToken(authorization: string | undefined): ApiError | undefined {
    if (!authorization) return refusal(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers");
    if (!/^Bearer [A-Za-z0-9_-]{40}$/.test(authorization)) {
      const error_chain = [{ code: 6111, message: "Invalid format for Authorization header" }];
      return { status: 400, errors: [{ code: 6003, message: "Invalid request headers", error_chain }] };
    }
    return authorization === `Bearer ${TOKEN}` ? undefined : refusal(403, 9109, "Invalid access token");
  }

  async function listener(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "http://fake");
    const path = url.pathname.replace(/^\/client\/v4/, "");
    const body = Buffer.concat(await request.toArray());
    fake.calls.push(`${request.method} ${path}${decodeURIComponent(url.search)}`);
    fake.bodies.push(body.toString("utf8"));
    if (fake.fault?.(request, response)) return;
    const waitMs = overLimit();
    if (waitMs !== undefined) {
      response.setHeader("retry-after", String(Math.ceil(waitMs / 1000)));
      send(response, refusal(429, 10_429, "More than 1200 requests per 300 seconds reached. Please wait"));
      return;
    }
    const type = request.headers["content-type"];
    const refused = checkToken(request.headers.authorization);
    const call = { method: request.method ?? "GET", path, query: url.searchParams, body, type };
    send(response, refused ?? (await route(call)));
  }

  async function route(call: Call): Promise<unknown> {
    const segments = call.path.split("/").slice(1).map(decodeURIComponent);
    if (call.method === "GET" && call.path === "/zones") return listZones(call);
    if (segments[0] === "zones" && segments[2] === "dns_records") {
      const zone = zones.find(({ id }) => id === segments[1]);
      if (!zone) return noRoute(call.path);
      if (!fake.rights.has("DNS:Edit")) return refusal(403, 10_000, "Authentication error");
      return routeRecords(call, { zone, id: segments[3] });
    }
    if (call.path.startsWith("/accounts/")) {
      const [, account, storage, kv, namespaces, namespace, ...rest] = segments;
      if (account !== fake.account || `${storage}/${kv}/${namespaces}` !== "storage/kv/namespaces")
        return noRoute(call.path);
      if (!fake.rights.has("KV:Edit")) return refusal(403, 10_000, "Authentication error");
      if (namespace !== fake.namespace) return refusal(404, 10_013, "namespace not found");
      return routeValues(call, rest);
    }
    return noRoute(call.path);
  }

  function listZones({ query }: Call): unknown {
    const unknown = unknownParameter(query, ["name", "per_page", "page"]);
    if (unknown) return unknown;
    const name = query.get("name");
    // A token without the right sees none, which is no error.
    const visible = fake.rights.has("Zone:Read") ? zones : [];
    const found = visible.filter((zone) => name === null || zone.name === name);
    return paginate(
      found.map(({ id, name: zoneName }) => ({ id, name: zoneName, status: "active", type: "full" })),
      { query, defaultSize: 20, maxSize: 50 },
    );
  }

  function routeRecords(call: Call, { zone, id }: { readonly zone: Zone; readonly id: string | undefined }): unknown {
    const { method, query } = call;
    if (id === undefined && method === "GET") return listRecords(query, zone);
    if (id === undefined && method === "POST") return createRecord(parseJson(call), zone);
    if (id === undefined) return refusal(405, 7001, `Method ${method} not available for that URI.`);
    if (!/^[0-9a-f]{32}$/.test(id)) return noRoute(call.path);
    const record = zone.records.find((one) => one.id === id);
    if (!record) return refusal(404, 81_044, "Record does not exist.");
    if (method === "GET") return { result: record };
    if (method === "PATCH") return editRecord(parseJson(call), { record, zone });
    if (method === "DELETE") {
      zone.records.splice(zone.records.indexOf(record), 1);
      return { result: { id } };
    }
    return refusal(405, 7001, `Method ${method} not available for that URI.`);
  }

  function listRecords(query: URLSearchParams, zone: Zone): unknown {
    const filters = ["name", "name.exact", "name.contains", "name.startswith", "name.endswith"];
    const unknown = unknownParameter(query, [...filters, "type", "per_page", "page", "search"]);
    if (unknown) return unknown;
    const wanted = (filter: string) => query.get(filter)?.toLowerCase();
    const found = zone.records.filter(({ name: given, type, content }) => {
      const name = given.toLowerCase();
      const exact = wanted("name.exact") ?? wanted("name");
      return (
        (exact === undefined || name === exact) &&
        name.includes(wanted("name.contains") ?? "") &&
        name.startsWith(wanted("name.startswith") ?? "") &&
        name.endsWith(wanted("name.endswith") ?? "") &&
        `${name} ${content}`.includes(wanted("search") ?? "") &&
        type === (query.get("type") ?? type)
      );
    });
    return paginate(found.map(show), { query, defaultSize: 100, maxSize: 5_000_000 });
  }

  function createRecord(body: unknown, zone: Zone): unknown {
    const fields = readFields(body);
    if (isRefusal(fields)) return fields;
    if (!fields.type || !fields.name || fields.content === undefined) return refusal(400, 9000, "DNS name is invalid.");
    if (zone.records.length >= fake.recordQuota) return refusal(400, 81_045, "Record quota exceeded.");
    const isInside = fields.name === zone.name || fields.name.endsWith(`.${zone.name}`);
    const name = isInside ? fields.name : `${fields.name}.${zone.name}`;
    const { type, content } = fields;
    if (zone.records.some((one) => one.name === name && one.type === type && one.content === content)) {
      return refusal(400, 81_058, "An identical record already exists.");
    }
    const at = now();
    const times = { created_on: at, modified_on: at };
    const record: FakeRecord = {
      id: newId(),
      name,
      type,
      content,
      ttl: fields.ttl ?? 1,
      comment: fields.comment ?? null,
      ...times,
    };
    zone.records.push(record);
    return { result: show(record) };
  }

  function editRecord(body: unknown, { record, zone }: { readonly record: FakeRecord; readonly zone: Zone }): unknown {
    const fields = readFields(body);
    if (isRefusal(fields)) return fields;
    if (fields.type !== undefined && fields.type !== record.type)
      return refusal(400, 9007, "Content for record is invalid.");
    if (fields.name !== undefined && fields.name !== record.name) return refusal(400, 9000, "DNS name is invalid.");
    const same = zone.records.find(
      (one) => one !== record && one.name === record.name && one.content === fields.content,
    );
    if (same) return refusal(400, 81_058, "An identical record already exists.");
    record.content = fields.content ?? record.content;
    record.ttl = fields.ttl ?? record.ttl;
    record.comment = fields.comment ?? record.comment;
    record.modified_on = now();
    return { result: show(record) };
  }

  async function routeValues(call: Call, rest: readonly string[]): Promise<unknown> {
    const { method, query } = call;
    const nowMs = clock.now();
    const alive = (key: string) => {
      const entry = fake.values.get(key);
      return entry && (entry.expiresAtMs ?? Number.POSITIVE_INFINITY) > nowMs ? entry.value : undefined;
    };
    if (method === "GET" && rest.join("/") === "keys") {
      const names = [...fake.values.keys()].filter((key) => alive(key) !== undefined);
      return { result: names.map((name) => ({ name })), result_info: { count: names.length, cursor: "" } };
    }
    if (method === "POST" && rest.join("/") === "bulk/get") {
      const { keys } = parseJson(call) as { keys: string[] };
      if (!Array.isArray(keys) || keys.length > 100) return refusal(400, 10_129, "too many keys requested, max is 100");
      return { result: { values: Object.fromEntries(keys.map((key) => [key, alive(key) ?? null])) } };
    }
    const [values, key = "", ...more] = rest;
    if (values !== "values" || key === "" || key.length > 512 || more.length > 0) return noRoute(call.path);
    if (method === "GET") {
      const value = alive(key);
      return value === undefined ? refusal(404, 10_009, "get: 'key not found'") : { raw: value };
    }
    if (method === "DELETE") {
      fake.values.delete(key);
      return { result: null };
    }
    if (method !== "PUT") return refusal(405, 7001, `Method ${method} not available for that URI.`);
    const ttl = query.get("expiration_ttl");
    if (ttl !== null && !(Number.isInteger(Number(ttl)) && Number(ttl) >= 60)) {
      return refusal(400, 10_033, `invalid expiration_ttl of ${ttl}; must be at least 60.`);
    }
    const value = await readUpload(call);
    if (value === undefined) return refusal(400, 10_012, "could not parse the metadata");
    fake.values.set(key, { value, expiresAtMs: ttl === null ? undefined : nowMs + Number(ttl) * 1000 });
    return { result: null };
  }

  const server = await serve(t, (request, response) => void listener(request, response), { port: options.port ?? 0 });
  return Object.assign(fake, {
    apiUrl: `${server.url}/client/v4`,
    lastHeaders: server.lastHeaders,
    stop: server.stop,
  });
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly type: string | undefined;
}

function noRoute(path: string): ApiError {
  return refusal(404, 7003, `Could not route to /client/v4${path}, perhaps your object identifier is invalid?`);
}

function unknownParameter(query: URLSearchParams, known: readonly string[]): ApiError | undefined {
  const unknown = [...query.keys()].find((name) => !known.includes(name));
  return unknown === undefined ? undefined : refusal(400, 1004, `unknown parameter ${unknown}`);
}

function paginate(
  items: readonly unknown[],
  {
    query,
    defaultSize,
    maxSize,
  }: { readonly query: URLSearchParams; readonly defaultSize: number; readonly maxSize: number },
): unknown {
  const perPage = Number(query.get("per_page") ?? defaultSize);
  const page = Number(query.get("page") ?? 1);
  if (!(perPage >= 5 && perPage <= maxSize && page >= 1)) return refusal(400, 9110, "Invalid page or per_page");
  const result = items.slice((page - 1) * perPage, page * perPage);
  const counts = { count: result.length, total_count: items.length, total_pages: Math.ceil(items.length / perPage) };
  return { result, result_info: { page, per_page: perPage, ...counts } };
}

function parseJson({ body, type }: Call): unknown {
  if (!type?.startsWith("application/json")) return refusal(415, 6006, "Content-Type must be application/json");
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return refusal(400, 9207, "Request body is invalid.");
  }
}

interface RecordFields {
  readonly type?: string;
  readonly name?: string;
  readonly content?: string;
  readonly ttl?: number;
  readonly comment?: string;
}

function readFields(body: unknown): RecordFields | ApiError {
  if (isRefusal(body)) return body;
  const fields = body as RecordFields;
  const unknown = Object.keys(fields).find((key) => !["type", "name", "content", "ttl", "comment"].includes(key));
  if (unknown) return refusal(400, 1004, `unknown member ${unknown}`);
  const { ttl, content, comment } = fields;
  if (ttl !== undefined && ttl !== 1 && !(ttl >= 60 && ttl <= 86_400)) {
    return refusal(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.");
  }
  if (comment !== undefined && comment.length > 100) return refusal(400, 9214, "Comment is too long.");
  if (content !== undefined && content.length > 2048) return refusal(400, 9009, "Content for TXT record is too long.");
  return { ...fields, ...(content !== undefined && { content: splitContent(content) }) };
}

/** Strings of more than 255 characters become several, in quotes. */
function splitContent(content: string): string {
  if (content.startsWith('"') || content.length <= 255) return content;
  return (content.match(/.{1,255}/gs) ?? []).map((part) => `"${part}"`).join(" ");
}

function show(record: FakeRecord): unknown {
  return { ...record, proxiable: false, proxied: false, settings: {}, meta: {}, tags: [] };
}

/** The value of a form, or the bare body. */
async function readUpload({ body, type = "" }: Call): Promise<string | undefined> {
  if (!type.startsWith("multipart/form-data")) return body.toString("utf8");
  const form = await new Response(new Uint8Array(body), { headers: { "content-type": type } }).formData();
  const value = form.get("value");
  return typeof value === "string" ? value : value?.text();
}

function send(response: ServerResponse, answer: unknown): void {
  if (isRefusal(answer)) {
    response.writeHead(answer.status, { "content-type": "application/json; charset=utf-8" });
    response.end(JSON.stringify({ result: null, success: false, errors: answer.errors, messages: [] }));
    return;
  }
  if (typeof answer === "object" && answer !== null && "raw" in answer) {
    response.writeHead(200, { "content-type": "application/octet-stream" }).end(String(answer.raw));
    return;
  }
  response.writeHead(200, { "content-type": "application/json; charset=utf-8" });
  response.end(JSON.stringify({ ...(answer as object), success: true, errors: [], messages: [] }));
}
