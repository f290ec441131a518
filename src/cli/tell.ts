/** `stunmesh-ts refresh`, `reload`, `events` and `metrics`: short talks with the daemon. */
import { escapeJson, printable } from "../printable.ts";
import { type ClientCommandOptions, openClient } from "./daemon-client.ts";

export interface RefreshOptions extends ClientCommandOptions {
  /** Interfaces, peers or interface/peer; none = all. */
  readonly names: readonly string[];
}

/** Gives peers a turn now; their outcome is not waited for. Resolves with 0. */
export async function refresh({ names, ...options }: RefreshOptions, signal: AbortSignal): Promise<number> {
  const client = await openClient(options, signal);
  const query = names.map((name) => `peer=${encodeURIComponent(name)}`).join("&");
  const body = await client.ask("POST", `/v1/refresh${query === "" ? "" : `?${query}`}`);
  const { refreshed }: { readonly refreshed: readonly { readonly interface: string; readonly peer: string }[] } =
    JSON.parse(body);
  for (const one of refreshed) console.log(printable(`refreshing ${one.interface}/${one.peer}`));
  return 0;
}

/** Has the configuration read again. Resolves with 0; throws what is wrong with it. */
export async function reload(options: ClientCommandOptions, signal: AbortSignal): Promise<number> {
  const client = await openClient(options, signal);
  const { reloaded }: { readonly reloaded: string } = JSON.parse(await client.ask("POST", "/v1/reload"));
  console.log(printable(`${reloaded}: reloaded`));
  return 0;
}

/** Prints what happens, one line of JSON each, until it is interrupted or nobody reads any more. */
export async function events(options: ClientCommandOptions, signal: AbortSignal): Promise<number> {
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  // `events | head -1`: a closed pipe is no failure.
  const unread = new DOMException("nobody reads", "AbortError");
  process.stdout.once("error", () => stop.abort(unread));
  const client = await openClient(options, stop.signal);
  try {
    await client.follow((line) => process.stdout.write(`${escapeJson(line)}\n`));
  } catch (error) {
    if (error !== unread) throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return 0;
}

/** Prints the metrics. Resolves with 0. */
export async function metrics(options: ClientCommandOptions, signal: AbortSignal): Promise<number> {
  const client = await openClient(options, signal);
  process.stdout.write(await client.ask("GET", "/v1/metrics"));
  return 0;
}
