// The servers that the test can be run against, by their command lines. All take --listen besides.
import { fileURLToPath } from "node:url";
import { heartbeat } from "./run.mjs";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const pings = ["--ping-interval", `${heartbeat.interval}ms`, "--ping-timeout", `${heartbeat.timeout}ms`];

/** By name: the command line for a data directory, and a bug of the model, or a durability mode of Tutti. */
export const commands = {
  tutti: (data, mode) => [
    process.env.TUTTI_BIN || file("../../bin/tutti"),
    "serve", "--data", data, "--durable", mode ? `chat:* durability=${mode}` : "chat:*", "--open", "chat:*", ...pings,
  ],
  csr: () => [process.execPath, file("reference.mjs"), "--recovery", ...pings],
  plain: () => [process.execPath, file("reference.mjs"), ...pings],
  model: (data, bug) => [process.execPath, file("model.mjs"), "--data", data, ...(bug ? ["--bug", bug] : []), ...pings],
};

/** By name: the command line of a node of a cluster, from its engine's URL. */
export const clustered = {
  tutti: (engine) => [
    process.env.TUTTI_BIN || file("../../bin/tutti"),
    "serve", "--engine", engine, "--durable", "chat:*", "--open", "chat:*", ...pings,
  ],
};
