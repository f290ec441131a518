/**
 * A server of values for the laboratory: `node store-server-child.js worker|folder <address> <port>`. Prints "ready".
 *
 * worker  contrib/cloudflare-worker in workerd, which writes to a KV in memory; READ_TOKEN and WRITE_TOKEN are its own
 * folder  a web server with GET and PUT and a password, as contrib/store-module wants it
 */
import { createServer } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { repositoryRoot } from "../fixtures/path.ts";

const [kind, host = "127.0.0.1", port = "0"] = process.argv.slice(2);
if (kind === "worker") await serveWorker();
else await serveFolder();
process.stdout.write("ready\n");

async function serveWorker(): Promise<void> {
  const [{ build }, { Miniflare }] = await Promise.all([import("esbuild"), import("miniflare")]);
  const { outputFiles } = await build({
    entryPoints: [join(repositoryRoot, "contrib/cloudflare-worker/src/index.ts")],
    bundle: true,
    format: "esm",
    write: false,
  });
  const { READ_TOKEN = "", WRITE_TOKEN = "", POLL_SECONDS = "" } = process.env;
  const worker = new Miniflare({
    modules: true,
    script: outputFiles[0]?.text ?? "",
    bindings: { READ_TOKEN, WRITE_TOKEN, POLL_SECONDS },
    kvNamespaces: ["RECORDS"],
    compatibilityDate: "2026-01-01",
    host,
    port: Number(port),
  });
  await worker.ready;
}

async function serveFolder(): Promise<void> {
  const wanted = `Basic ${Buffer.from(process.env.USER_AND_PASSWORD ?? "").toString("base64")}`;
  const values = new Map<string, string>();
  const server = createServer(async (request, response) => {
    const { method, url = "", headers } = request;
    const value = values.get(url);
    if (headers.authorization !== wanted) response.writeHead(401).end();
    else if (method === "PUT") {
      values.set(url, await text(request));
      response.writeHead(201).end();
    } else if (value === undefined) response.writeHead(404).end();
    else response.end(value);
  });
  await new Promise<void>((resolve) => server.listen(Number(port), host, resolve));
}
