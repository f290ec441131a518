/** What the control socket offers: which method and path does what (docs/operations.md has the table). Knows no HTTP. */
import { describeError, errorCode, StunmeshError } from "../errors.ts";
import type { DaemonEvent } from "../events.ts";
import type { DaemonStatus } from "../status.ts";
import { formatMetrics } from "./metrics.ts";
import { allPeers, isNamed, listPeers, namesOf } from "./peer-names.ts";
import { readProcessUsage } from "./process-usage.ts";
import { PROMETHEUS_CONTENT_TYPE } from "./prometheus-text.ts";

/** What is controlled. */
export interface Controlled {
  status(): DaemonStatus;
  /** Gives a peer, or all of them, a turn now. */
  refresh(only?: { readonly interface: string; readonly peer: string }): void;
  /** Reads the configuration again. Rejects with what is wrong with it; nothing is changed then. */
  reload(): Promise<void>;
  subscribe(listener: (event: DaemonEvent) => void): () => void;
}

export type Reply =
  | { readonly status: number; readonly json: unknown; readonly allow?: string }
  | { readonly status: 200; readonly text: string; readonly type: string }
  /** Events from now on. */
  | { readonly status: 200; readonly events: true };

interface Asked {
  readonly method: string;
  /** Path and query, as they were sent. */
  readonly target: string;
}

type Handler = (
  controlled: Controlled,
  asked: { readonly name: string; readonly query: URLSearchParams },
) => Reply | Promise<Reply>;

const routes: readonly { readonly method: "GET" | "POST"; readonly path: RegExp; readonly handle: Handler }[] = [
  { method: "GET", path: /^\/v1\/status$/, handle: (controlled) => ok(controlled.status()) },
  { method: "GET", path: /^\/v1\/peers$/, handle: (controlled) => ok(allPeers(controlled.status()).map(flat)) },
  { method: "GET", path: /^\/v1\/peers\/(.+)$/s, handle: onePeer },
  { method: "POST", path: /^\/v1\/refresh$/, handle: refresh },
  { method: "POST", path: /^\/v1\/reload$/, handle: reload },
  { method: "GET", path: /^\/v1\/metrics$/, handle: metrics },
  { method: "GET", path: /^\/v1\/events$/, handle: () => ({ status: 200, events: true }) },
];

/** Answers one request. Never rejects because of what was asked. */
export async function answer(controlled: Controlled, { method, target }: Asked): Promise<Reply> {
  const parsed = parseTarget(target);
  if (!parsed) return refuse(400, { code: "BAD_REQUEST", message: "the path is not one" });
  const { path, query } = parsed;
  const fitting = routes.filter((route) => route.path.test(path));
  const route = fitting.find((one) => one.method === method);
  if (route) return route.handle(controlled, { name: route.path.exec(path)?.[1] ?? "", query });
  if (fitting.length === 0) return refuse(404, { code: "NOT_FOUND", message: "there is nothing at this path" });
  const allow = fitting.map((one) => one.method).join(", ");
  return { ...refuse(405, { code: "METHOD_NOT_ALLOWED", message: `only ${allow} is possible` }), allow };
}

/** An answer that says what is wrong. */
export function refuse(status: number, error: { readonly code: string; readonly message: string }) {
  return { status, json: { error } };
}

function ok(json: unknown): Reply {
  return { status: 200, json };
}

function parseTarget(target: string): { readonly path: string; readonly query: URLSearchParams } | undefined {
  const [path = "", query = ""] = target.split(/\?(.*)/s);
  try {
    return path.startsWith("/") ? { path: decodeURIComponent(path), query: new URLSearchParams(query) } : undefined;
  } catch {
    // A percent sign that stands for nothing.
    return undefined;
  }
}

function onePeer(controlled: Controlled, { name }: { readonly name: string }): Reply {
  const all = allPeers(controlled.status());
  // An interface is not one peer, also when it has only one.
  const named = all.filter((one) => one.interface !== name && isNamed(one, name));
  const [found] = named;
  if (!found)
    return refuse(404, { code: "NOT_FOUND", message: `no peer is called "${name}", there are ${listPeers(all)}` });
  if (named.length === 1) return ok(flat(found));
  return refuse(409, { code: "AMBIGUOUS", message: `several peers are called "${name}": ${listPeers(named)}` });
}

function refresh(controlled: Controlled, { query }: { readonly query: URLSearchParams }): Reply {
  const all = allPeers(controlled.status());
  // Sets: a request may hold a thousand names, and ask about a thousand peers.
  const names = new Set(query.getAll("peer"));
  const known = new Set(all.flatMap(namesOf));
  const unknown = [...names].find((name) => !known.has(name));
  if (unknown !== undefined) {
    const message = `no interface or peer is called "${unknown}", there are ${listPeers(all)}`;
    return refuse(404, { code: "NOT_FOUND", message });
  }
  const chosen = names.size === 0 ? all : all.filter((one) => namesOf(one).some((name) => names.has(name)));
  for (const one of chosen) controlled.refresh({ interface: one.interface, peer: one.peer.name });
  return { status: 202, json: { refreshed: chosen.map((one) => ({ interface: one.interface, peer: one.peer.name })) } };
}

async function reload(controlled: Controlled): Promise<Reply> {
  try {
    await controlled.reload();
    return ok({ reloaded: controlled.status().config.path });
  } catch (error) {
    // As it is, a line for each error: this one is for the person who asked.
    const message = error instanceof StunmeshError ? error.message : describeError(error);
    return refuse(422, { code: errorCode(error) ?? "INTERNAL", message });
  }
}

async function metrics(controlled: Controlled): Promise<Reply> {
  const status = controlled.status();
  const text = formatMetrics(status, await readProcessUsage(status.startedAt));
  return { status: 200, text, type: PROMETHEUS_CONTENT_TYPE };
}

function flat({ interface: device, peer }: ReturnType<typeof allPeers>[number]) {
  return { interface: device, ...peer };
}
