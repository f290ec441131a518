/** No input freezes the daemon: the time for the worst inputs of what people and clients write grows as they do. */
import { config, host } from "./all.ts";
import { testGrowth } from "./assert-linear.ts";

testGrowth(host.filter((decoder) => decoder !== config));
