// Delivers the lines of standard input as Node's users log:
//     node deliver.mjs CLIENT ADDRESS [OPTIONS AS JSON]
import { createInterface } from "node:readline";
import { Client } from "@elastic/elasticsearch";
import fluent from "@fluent-org/logger";
import winston from "winston";
import LokiTransport from "winston-loki";

const [client, address, text = "{}"] = process.argv.slice(2);
const options = JSON.parse(text);
const lines = [];
for await (const line of createInterface({ input: process.stdin })) lines.push(line);

const clients = {
  async loki() {
    const transport = new LokiTransport({
      host: `http://${address}`,
      labels: { job: "test" },
      interval: 1,
      format: winston.format.printf(({ message }) => message),
      onConnectionError: (error) => console.error(error),
      ...options,
    });
    const logger = winston.createLogger({ transports: [transport] });
    for (const line of lines) logger.info(line);
    await transport.flush();
    logger.close();
  },

  async elasticsearch() {
    const elasticsearch = new Client({ node: `http://${address}`, ...options });
    const result = await elasticsearch.helpers.bulk({
      datasource: lines.map((message) => ({ message })),
      onDocument: () => ({ create: { _index: "logs" } }),
      flushBytes: 200_000,
    });
    if (result.successful !== lines.length) throw new Error(JSON.stringify(result));
    await elasticsearch.close();
  },

  async forward() {
    const [host, port] = address.split(":");
    const logger = new fluent.FluentClient("test", {
      socket: { host, port: Number(port), timeout: 60_000 },
      ack: { ackTimeout: 60_000 },
      sendQueueFlushSize: 200_000,
      ...options,
    });
    await Promise.all(lines.map((log) => logger.emit("access", { log })));
    await logger.disconnect();
  },
};

await clients[client]();
