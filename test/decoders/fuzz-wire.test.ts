/** No input crashes the daemon: packets and device texts that nobody would send. More of them: npm run fuzz. */
import { wire } from "./all.ts";
import { testMutations } from "./assert-fuzz.ts";

testMutations(wire, 1000);
