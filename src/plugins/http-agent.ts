/**
 * Connections of an HTTP client: kept open between requests, through a proxy where the environment says so.
 *
 * A request for http:// goes to the proxy itself, with the whole URL as its path (RFC 9112 section 3.2.2); one for https://
 * goes through a tunnel that CONNECT opens (RFC 9110 section 9.3.6), so that the proxy sees nothing but the name of the host.
 * Node's own fetch() does the same and costs some 15 MB; its agents learned it only after Node 20.
 */
import type { ClientRequest, Agent as HttpAgent, RequestOptions } from "node:http";
import type { Duplex } from "node:stream";
import { StunmeshError } from "../errors.ts";
import { lookupForSocket } from "../names.ts";
import { type ProxyEnv, proxyCredentials, selectProxy } from "./http-proxy.ts";

/** What a request needs besides where it goes. */
export interface WireRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface HttpAgents {
  /** Begins a request for `url`. Throws STORE_UNAVAILABLE for a proxy that cannot be used. */
  begin(url: URL, request: WireRequest): ClientRequest;
  readonly isClosed: boolean;
  /** Closes every connection, also those in use. */
  close(): void;
}

/** A service closes connections nobody uses long before the next refresh, and may then lose the first request sent on one. */
const KEEP_IDLE_MS = 20_000;
const KEEP_IDLE_CONNECTIONS = 8;

interface TunnelOptions extends RequestOptions {
  /** That of the request for which the tunnel is opened: it ends the CONNECT, too. */
  readonly tunnelSignal?: AbortSignal | undefined;
  /** Filled in by the agent: the name for TLS, empty for an address. */
  readonly servername?: string | undefined;
}

interface HttpAgentOptions {
  readonly env: ProxyEnv;
  /** Certificates of authorities (PEM) to trust instead of those Node knows. */
  readonly ca?: string | undefined;
}

/** Loads Node's HTTP client, which costs 3 MB that a daemon without such a store need not pay. */
export async function openHttpAgents({ env, ca }: HttpAgentOptions): Promise<HttpAgents> {
  const [http, https, tls] = await Promise.all([import("node:http"), import("node:https"), import("node:tls")]);
  const kept = { keepAlive: true, maxFreeSockets: KEEP_IDLE_CONNECTIONS, timeout: KEEP_IDLE_MS };
  const trust = ca === undefined ? {} : { ca };
  const plain = new http.Agent(kept);
  const secure = new https.Agent({ ...kept, ...trust });
  /** One for each proxy: its connections lead elsewhere. */
  const tunnels = new Map<string, HttpAgent>();
  let isClosed = false;

  /** A request to the proxy itself. */
  function askProxy(proxy: URL, options: RequestOptions): ClientRequest {
    const authorization = proxyCredentials(proxy);
    const headers = { ...options.headers, ...(authorization && { "proxy-authorization": authorization }) };
    const { request } = proxy.protocol === "https:" ? https : http;
    const port = proxy.port || (proxy.protocol === "https:" ? 443 : 80);
    return request({ ...options, host: bareHost(proxy), port, headers, lookup: lookupForSocket });
  }

  function openTunnel(proxy: URL, options: TunnelOptions): Promise<Duplex> {
    const { tunnelSignal, host, port, servername } = options;
    const target = `${host?.includes(":") ? `[${host}]` : host}:${port}`;
    return new Promise((resolve, reject) => {
      const connect = askProxy(proxy, { method: "CONNECT", path: target, headers: { host: target }, agent: false });
      const onAbort = () => connect.destroy(new Error("aborted"));
      const release = () => tunnelSignal?.removeEventListener("abort", onAbort);
      tunnelSignal?.addEventListener("abort", onAbort, { once: true });
      function fail(why: string, cause?: unknown) {
        release();
        reject(new StunmeshError("STORE_UNAVAILABLE", `the proxy "${originOf(proxy)}" ${why}`, { cause }));
      }
      connect.on("error", (error) => fail(`cannot be reached: ${codeOrMessage(error)}`, error));
      connect.once("response", (reply) => {
        reply.destroy();
        fail(`refuses a tunnel: ${explainRefusal(reply.statusCode)}`);
      });
      connect.once("connect", (reply, socket) => {
        release();
        if (reply.statusCode !== 200) {
          socket.destroy();
          fail(`refuses a tunnel: ${explainRefusal(reply.statusCode)}`);
          return;
        }
        resolve(
          tls.connect({
            socket,
            host: host ?? "",
            servername: servername ?? "",
            ALPNProtocols: ["http/1.1"],
            ...trust,
          }),
        );
      });
      connect.end();
    });
  }

  function tunnelAgent(proxy: URL): HttpAgent {
    const known = tunnels.get(proxy.href);
    if (known) return known;
    const agent = new https.Agent(kept);
    agent.createConnection = (options, callback) => {
      openTunnel(proxy, options).then(
        (socket) => callback?.(null, socket),
        // Nobody looks at the second argument after an error.
        (error: unknown) => (callback as ((error: unknown) => void) | undefined)?.(error),
      );
      return undefined;
    };
    tunnels.set(proxy.href, agent);
    return agent;
  }

  return {
    begin(url, { method, headers, signal }) {
      const proxy = selectProxy(url, env);
      const isSecure = url.protocol === "https:";
      const port = url.port || (isSecure ? 443 : 80);
      const authorization = proxyCredentials(url);
      const options: RequestOptions = {
        method,
        host: bareHost(url),
        port,
        lookup: lookupForSocket,
        path: `${url.pathname}${url.search}`,
        headers: { host: url.host, ...(authorization && { authorization }), ...headers },
      };
      if (isSecure) {
        const tunnelled: TunnelOptions = { ...options, tunnelSignal: signal };
        return https.request({ ...tunnelled, agent: proxy ? tunnelAgent(proxy) : secure });
      }
      if (!proxy) return http.request({ ...options, agent: plain });
      const whole = new URL(url);
      whole.username = "";
      whole.password = "";
      const agent = proxy.protocol === "https:" ? secure : plain;
      return askProxy(proxy, { ...options, path: whole.href.replace(/#.*/, ""), agent });
    },
    get isClosed() {
      return isClosed;
    },
    close() {
      isClosed = true;
      for (const agent of [plain, secure, ...tunnels.values()]) agent.destroy();
    },
  };
}

/** Scheme, host and port: what of a URL may stand in a message. */
export function originOf(url: URL): string {
  return `${url.protocol}//${url.host}`;
}

function bareHost({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

function explainRefusal(status: number | undefined): string {
  return status === 407
    ? "it wants a user and a password (http://user:password@host:port in HTTPS_PROXY)"
    : `status ${status}`;
}

function codeOrMessage(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
