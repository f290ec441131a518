/** No input freezes the daemon: the time for the worst inputs of what stores return grows as they do. */
import { stores } from "./all.ts";
import { testGrowth } from "./assert-linear.ts";

testGrowth(stores);
