/** No input crashes the daemon: answers of stores that nobody would send. More of them: npm run fuzz. */
import { stores } from "./all.ts";
import { testMutations } from "./assert-fuzz.ts";

testMutations(stores, 1000);
