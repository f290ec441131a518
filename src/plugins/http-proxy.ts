/**
 * Which proxy a request goes through: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in upper or lower case, read as curl(1) and Go
 * read them. This host itself is never asked for through a proxy.
 */
import { BlockList, isIP } from "node:net";
import { StunmeshError } from "../errors.ts";

/** The variables of the environment that matter, by name. */
export type ProxyEnv = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for `url`, or undefined to go there directly. Throws STORE_UNAVAILABLE, with the bare reason as its message, when
 * the variable holds no address of a proxy that can be used.
 */
export function selectProxy(url: URL, env: ProxyEnv): URL | undefined {
  const name = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const text = readVariable(env, name);
  if (!text || isLoopback(url) || isExempt(url, readVariable(env, "NO_PROXY"))) return undefined;
  const address = text.includes("://") ? text : `http://${text}`;
  const proxy = URL.canParse(address) ? new URL(address) : undefined;
  if (proxy && (proxy.protocol === "http:" || proxy.protocol === "https:") && proxy.hostname) return proxy;
  const kind = proxy?.protocol.replace(":", "");
  const why = kind ? `a proxy of the kind "${kind}", wanted http or https` : "no address of a proxy (http://host:port)";
  throw new StunmeshError("STORE_UNAVAILABLE", `the environment variable ${name} holds ${why}`);
}

/** The value of Proxy-Authorization that the user and password in the address of a proxy mean. */
export function proxyCredentials(proxy: URL): string | undefined {
  if (!proxy.username && !proxy.password) return undefined;
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

function readVariable(env: ProxyEnv, name: string): string {
  return (env[name.toLowerCase()] || env[name] || "").trim();
}

/** The host of a URL as it is compared: without the brackets of IPv6 and the final dot of a name. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

function isLoopback(url: URL): boolean {
  const host = hostOf(url);
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** True when NO_PROXY names the host: `*`, a name (with all below it), an address, a prefix; each with a port if wanted. */
function isExempt(url: URL, list: string): boolean {
  const host = hostOf(url);
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === "*") return true;
    const [, name = "", wantedPort] = /^(\[[^\]]*\]|[^:]*|[^:]*:.*:[^:]*?)(?::(\d+))?$/.exec(entry) ?? [];
    if (wantedPort && wantedPort !== port) return false;
    const wanted = name.replace(/^\[|\]$/g, "").toLowerCase();
    if (wanted === "") return false;
    if (wanted.includes("/")) return isInPrefix(host, wanted);
    if (isIP(wanted)) return isInPrefix(host, `${wanted}/${isIP(wanted) === 4 ? 32 : 128}`);
    const suffix = wanted.replace(/^\*?\./, "").replace(/\.$/, "");
    return host === suffix || host.endsWith(`.${suffix}`);
  });
}

function isInPrefix(host: string, prefix: string): boolean {
  const [network = "", bits = ""] = prefix.split("/");
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const name = family === 4 ? "ipv4" : "ipv6";
  const block = new BlockList();
  block.addSubnet(network, Number(bits), name);
  return block.check(host, name);
}
