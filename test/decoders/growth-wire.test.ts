/** No input freezes the daemon: the time for the worst inputs of what networks and kernels send grows as they do. */
import { wire } from "./all.ts";
import { testGrowth } from "./assert-linear.ts";

testGrowth(wire);
