/**
 * The TXT records of keys in a zone of Cloudflare: their names, and the calls that read and write them.
 *
 * Names are compared in lower case, as DNS does. Several records of one name are all read, newest first: two writers at once
 * leave two.
 */
import * as z from "zod";
import type { CloudflareApi } from "./cloudflare-api.ts";
import { readRefusal } from "./cloudflare-reply.ts";
import { createZoneFinder } from "./cloudflare-zone.ts";
import { parseTxtContent } from "./txt-content.ts";

/** Seconds that resolvers may remember a record: the shortest Cloudflare allows. The provider's own choice is 5 minutes. */
const TTL_SECONDS = 60;
const RECORDS_PER_PAGE = 1000;
const SAME_RECORD_EXISTS = 81058;
const RECORD_UNKNOWN = 81044;

const recordsSchema = z.array(
  z.object({
    id: z.string().min(1),
    name: z.string(),
    content: z.string().default(""),
    modified_on: z.string().default(""),
  }),
);
const infoSchema = z.object({ total_count: z.int().min(0), per_page: z.int().min(1) });

interface TxtRecord {
  readonly id: string;
  readonly name: string;
  readonly value: string;
  /** RFC 3339, in UTC. */
  readonly modifiedOn: string;
}

export interface RecordCall {
  readonly action: string;
  readonly signal: AbortSignal;
}

export interface TxtRecords {
  nameOf(key: string): string;
  /** The records of one key, newest first. One call. */
  find(key: string, call: RecordCall): Promise<readonly TxtRecord[]>;
  /**
   * The records of all keys, by name, newest first; undefined when that takes more than `maxCalls` calls. What was found out
   * about their number is remembered, so that it does not cost a call each time.
   */
  findAll(
    call: RecordCall & { readonly maxCalls: number },
  ): Promise<ReadonlyMap<string, readonly TxtRecord[]> | undefined>;
  /** The id of the new record; undefined when somebody else wrote the same at the same time. One call. */
  create(key: string, value: string, call: RecordCall): Promise<string | undefined>;
  /** False when there is no record of this id any more. One call. */
  edit(record: { readonly key: string; readonly id: string }, value: string, call: RecordCall): Promise<boolean>;
  /** Does nothing when the record is gone. One call. */
  remove(id: string, call: RecordCall): Promise<void>;
}

interface RecordsOptions {
  readonly api: CloudflareApi;
  /** A name in the zone, or the zone's own. */
  readonly zone: string;
  /** What the names of records end with: `wg.example.com`. */
  readonly domain: string;
}

/** The records of keys below `domain`. The zone's id is looked up by the first call: one call more, seldom two. */
export function createTxtRecords({ api, zone: zoneName, domain }: RecordsOptions): TxtRecords {
  const zone = createZoneFinder({ api, name: zoneName });
  let knownPages = 1;

  const nameOf = (key: string) => `${key}.${domain}`.toLowerCase();

  /** Looks the zone up again when the API does not know it (any more), and tries once more if its id is another now. */
  async function inZone<Result>(call: RecordCall, work: (zoneId: string) => Promise<Result>): Promise<Result> {
    const id = await zone.find(call);
    try {
      return await work(id);
    } catch (error) {
      if (!isZoneUnknown(error)) throw error;
      zone.forget(id);
      const newId = await zone.find(call);
      if (newId === id) throw error;
      return work(newId);
    }
  }
  function readRecords(result: unknown, call: RecordCall): readonly TxtRecord[] {
    const records = recordsSchema.safeParse(result);
    if (!records.success) throw api.invalid(call, "its list of records has another form than documented");
    return records.data.map(({ id, name, content, modified_on }) => ({
      id,
      name: name.toLowerCase(),
      value: parseTxtContent(content),
      modifiedOn: modified_on,
    }));
  }
  async function readPage(page: number, call: RecordCall) {
    const { result, result_info } = await inZone(call, (zone_id) =>
      api.call(call, ({ dns }) =>
        dns.records.list(
          { zone_id, type: "TXT", name: { endswith: `.${domain}` }, per_page: RECORDS_PER_PAGE, page },
          { signal: call.signal },
        ),
      ),
    );
    const info = infoSchema.safeParse(result_info);
    if (!info.success) throw api.invalid(call, "its list of records does not say how long it is");
    return { records: readRecords(result, call), count: info.data.total_count, perPage: info.data.per_page };
  }

  return {
    nameOf,
    async find(key, call) {
      const name = nameOf(key);
      const { result } = await inZone(call, (zone_id) =>
        api.call(call, ({ dns }) =>
          dns.records.list({ zone_id, type: "TXT", name: { exact: name }, per_page: 100 }, { signal: call.signal }),
        ),
      );
      return sortNewestFirst(readRecords(result, call).filter((record) => record.name === name));
    },
    async findAll({ maxCalls, ...call }) {
      if (knownPages > maxCalls) return undefined;
      const first = await readPage(1, call);
      const pages = Math.ceil(first.count / first.perPage);
      knownPages = pages;
      if (pages > maxCalls) return undefined;
      const found = [first.records];
      for (let page = 2; page <= pages; page++) found.push((await readPage(page, call)).records);
      return groupByName(sortNewestFirst(found.flat()));
    },
    create(key, value, call) {
      return inZone(call, async (zone_id) => {
        try {
          const record = await api.call(call, ({ dns }) =>
            dns.records.create(
              { zone_id, type: "TXT", name: nameOf(key), content: value, ttl: TTL_SECONDS, comment: "stunmesh" },
              { signal: call.signal },
            ),
          );
          const [{ id } = { id: undefined }] = recordsSchema.safeParse([record]).data ?? [];
          return id;
        } catch (error) {
          if (readRefusal(error)?.codes.includes(SAME_RECORD_EXISTS)) return undefined;
          throw error;
        }
      });
    },
    edit({ key, id }, value, call) {
      return inZone(call, (zone_id) =>
        orIfGone(false, async () => {
          await api.call(call, ({ dns }) =>
            dns.records.edit(
              id,
              { zone_id, type: "TXT", name: nameOf(key), content: value, ttl: TTL_SECONDS },
              { signal: call.signal },
            ),
          );
          return true;
        }),
      );
    },
    remove(id, call) {
      return inZone(call, (zone_id) =>
        orIfGone(undefined, async () => {
          await api.call(call, ({ dns }) => dns.records.delete(id, { zone_id }, { signal: call.signal }));
        }),
      );
    },
  };
}

/** What `work` does, or `gone` when the API does not know the record. */
async function orIfGone<Result>(gone: Result, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (readRefusal(error)?.codes.includes(RECORD_UNKNOWN)) return gone;
    throw error;
  }
}

/** 403 too: the old id may be that of a zone which somebody else has now. */
function isZoneUnknown(error: unknown): boolean {
  const status = readRefusal(error)?.status;
  return status === 404 || status === 403;
}

function sortNewestFirst(records: readonly TxtRecord[]): readonly TxtRecord[] {
  return records.toSorted((a, b) => {
    const ms = (Date.parse(b.modifiedOn) || 0) - (Date.parse(a.modifiedOn) || 0);
    // Cloudflare counts microseconds.
    return ms || (a.modifiedOn < b.modifiedOn ? 1 : a.modifiedOn > b.modifiedOn ? -1 : 0);
  });
}

function groupByName(records: readonly TxtRecord[]): ReadonlyMap<string, readonly TxtRecord[]> {
  const groups = new Map<string, TxtRecord[]>();
  for (const record of records) {
    const group = groups.get(record.name);
    if (group) group.push(record);
    else groups.set(record.name, [record]);
  }
  return groups;
}
