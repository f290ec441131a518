/** An address to listen on: `127.0.0.1:9586`, `[::1]:9586`, `localhost:9586`. */
import { textField } from "./fields.ts";
import { quoteValue } from "./report.ts";
import { parseServer } from "./servers.ts";
import type { MetricsConfig } from "./types.ts";

const WANTED = "host:port, such as 127.0.0.1:9586 or [::1]:9586";

/** host:port. To listen on every address is possible (0.0.0.0, [::]), but has to be said. */
export function listenField() {
  return textField(WANTED).transform((text, context): MetricsConfig => {
    const address = parseServer(text.trim());
    if (address) return address;
    const hint = /^:?\d+$/.test(text.trim()) ? ` (0.0.0.0:${text.trim().replace(":", "")} is every address)` : "";
    context.addIssue({ code: "custom", message: `${quoteValue(text)} is not ${WANTED}${hint}`, input: text });
    return { host: "", port: 0 };
  });
}
