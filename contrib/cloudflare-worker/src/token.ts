/** Bearer tokens (RFC 6750), compared in a time that does not tell how much of one was right. */

export interface Tokens {
  readonly READ_TOKEN?: string;
  readonly WRITE_TOKEN?: string;
}

/** True for either token: who writes may read. */
export async function mayRead(request: Request, { READ_TOKEN, WRITE_TOKEN }: Tokens): Promise<boolean> {
  const given = bearerOf(request);
  const results = [await isSame(given, READ_TOKEN), await isSame(given, WRITE_TOKEN)];
  return results.includes(true);
}

export async function mayWrite(request: Request, { WRITE_TOKEN }: Tokens): Promise<boolean> {
  return await isSame(bearerOf(request), WRITE_TOKEN);
}

function bearerOf(request: Request): string {
  const [, token = ""] = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  return token;
}

/** Of digests, because timingSafeEqual() wants the same length and a length tells something too. */
async function isSame(given: string, wanted: string | undefined): Promise<boolean> {
  if (!wanted) return false;
  const [a, b] = await Promise.all([given, wanted].map(digestOf));
  return a !== undefined && b !== undefined && crypto.subtle.timingSafeEqual(a, b);
}

async function digestOf(text: string): Promise<ArrayBuffer> {
  return await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}
