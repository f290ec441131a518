/** No input crashes the daemon: files and requests that nobody would send. More of them: npm run fuzz. */
import { host } from "./all.ts";
import { testMutations } from "./assert-fuzz.ts";

testMutations(host, 150);
