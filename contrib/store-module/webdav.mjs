// A store module: one file per key in a WebDAV folder (Nextcloud, ownCloud, Apache, rclone serve webdav ...).
// Options in the configuration, beside `type: module` and `path`: url, user, password.

/** @param options what the plugin's block has beside type and path; @param context { name, clock } */
export default function open(options, context) {
  const { url, user, password } = options;
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

  async function request(key, init) {
    let response;
    try {
      const headers = { authorization, ...init.headers };
      response = await fetch(`${url}/${key}`, { ...init, headers, redirect: "error" });
    } catch (cause) {
      init.signal.throwIfAborted();
      // No call can succeed now: the plugin is left alone for a moment.
      throw Object.assign(new Error(`cannot reach ${url}`, { cause }), { code: "STORE_UNAVAILABLE" });
    }
    if (response.ok || response.status === 404) return response;
    await response.body?.cancel();
    const code = response.status === 401 || response.status >= 500 ? "STORE_UNAVAILABLE" : "STORE_FAILED";
    throw Object.assign(new Error(`${context.name} answers ${response.status}`), { code });
  }

  return {
    /** Every value under the key, newest first; an empty list when there is none. */
    async get(key, signal) {
      const response = await request(key, { signal });
      if (response.ok) return [await response.text()];
      await response.body?.cancel();
      return [];
    },
    async set(key, value, signal) {
      const response = await request(key, { method: "PUT", body: value, signal });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`no folder at ${url}`);
    },
  };
}
