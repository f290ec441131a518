/**
 * `redis`: a Redis or Valkey server, by a small client of our own for RESP2 (docs/decisions/0010-own-redis-client.md).
 *
 * A value is stored under `<prefix><key>` with an expiry, and announced on the channel `<prefix>changed:<key>` in the same
 * transaction, so that peers learn of it at once.
 */
import { StunmeshError } from "../errors.ts";
import { storeAction } from "./action.ts";
import { openRedisClient } from "./redis-client.ts";
import { explainRedis, ReplyError } from "./redis-failure.ts";
import { MIN_EXPIRATION_MS, redisSchema } from "./redis-options.ts";
import { isErrorReply, type Reply } from "./redis-protocol.ts";
import { watchRedis } from "./redis-watch.ts";
import type { Plugin } from "./types.ts";

const MAX_VALUE_BYTES = 64 * 1024;

export const redis: Plugin<typeof redisSchema> = {
  schema: redisSchema,
  // Of the shortest expiration that is allowed, because that of an instance is not known here.
  expiresAfterMs: MIN_EXPIRATION_MS,
  open({ address, ca, prefix, expirationMs }, { name, clock }) {
    const target = { address, ca, clock };
    const client = openRedisClient(target);
    const secrets = [address.password, address.username].flatMap((text) => text ?? []);
    const channelOf = (key: string) => `${prefix}changed:${key}`;

    return {
      async get(key, signal) {
        const action = storeAction("get", name);
        try {
          // As GET, but whatever somebody put there, no more than this is sent. A missing key is an empty text.
          const range = ["GETRANGE", `${prefix}${key}`, "0", String(MAX_VALUE_BYTES)];
          const [reply] = await client.call([range], signal);
          const value = decodeValue(reply);
          return value === "" ? [] : [value];
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          throw explainRedis(error, { action, address, secrets });
        }
      },
      async set(key, value, signal) {
        const action = storeAction("set", name);
        try {
          if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
            throw new StunmeshError("STORE_FAILED", "a value of more than 64 KiB");
          }
          const commands = [
            ["MULTI"],
            ["SET", `${prefix}${key}`, value, "PX", String(expirationMs)],
            ["PUBLISH", channelOf(key), "1"],
            ["EXEC"],
          ];
          const results = (await client.call(commands, signal)).at(-1);
          const [stored]: readonly Reply[] = Array.isArray(results) ? results : [];
          if (isErrorReply(stored)) throw new ReplyError(stored.error);
          if (stored !== "OK") throw new StunmeshError("STORE_REPLY_INVALID", "the server did not confirm the value");
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          throw explainRedis(error, { action, address, secrets: [...secrets, value] });
        }
      },
      watch(keys, handlers) {
        const explain = (error: unknown) => explainRedis(error, { action: `watch plugin "${name}"`, address, secrets });
        return watchRedis({ target, keys, channelOf, handlers, explain });
      },
      async close() {
        client.close();
      },
    };
  },
};

function decodeValue(reply: Reply | undefined): string {
  if (!Buffer.isBuffer(reply)) throw new StunmeshError("STORE_REPLY_INVALID", "the server returned no value");
  if (reply.length > MAX_VALUE_BYTES) {
    throw new StunmeshError("STORE_REPLY_INVALID", "the value has more than 64 KiB");
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(reply);
  } catch (cause) {
    throw new StunmeshError("STORE_REPLY_INVALID", "the value is not UTF-8 text", { cause });
  }
}
