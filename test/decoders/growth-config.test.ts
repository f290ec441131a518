/** No input freezes the daemon: the time for the worst configurations grows as they do. */
import { config } from "./all.ts";
import { testGrowth } from "./assert-linear.ts";

testGrowth([config]);
