// Azure's own SDK as one long-lived process, for what is read after every point: a line of JSON on
// stdin ([COMMAND, ARGUMENT...]) is answered by a line on stdout ({"value"} or {"error"}).
// The account is in AZURE_STORAGE_CONNECTION_STRING.
import { createRequire } from "node:module";
import fs from "node:fs";
import readline from "node:readline";

const require = createRequire(new URL("../integration/azure_client.mjs", import.meta.url));
const { BlobServiceClient } = require("@azure/storage-blob");
const service = BlobServiceClient.fromConnectionString(
  process.env.AZURE_STORAGE_CONNECTION_STRING,
  { retryOptions: { maxTries: 1 } },
);
const blob = (container, name) => service.getContainerClient(container).getBlockBlobClient(name);

const commands = {
  async create(container) {
    await service.getContainerClient(container).createIfNotExists();
    return container;
  },

  async list(container) {
    const client = service.getContainerClient(container);
    if (!(await client.exists())) return [];
    const found = [];
    const pages = client.listBlobsFlat({ includeMetadata: true, includeUncommitedBlobs: true });
    for await (const item of pages) {
      found.push({
        name: item.name,
        bytes: item.properties.contentLength,
        metadata: item.metadata ?? {},
        committed: item.properties.contentType !== undefined,
      });
    }
    return found;
  },

  async download(container, name, file) {
    await blob(container, name).downloadToFile(file);
    return name;
  },

  async upload(container, name, file, metadata) {
    const body = fs.readFileSync(file);
    await blob(container, name).upload(body, body.length, { metadata });
    return name;
  },

  async delete(container, name) {
    await blob(container, name).delete();
    return name;
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer;
  try {
    const [command, ...parameters] = JSON.parse(line);
    answer = { value: await commands[command](...parameters) };
  } catch (problem) {
    answer = { error: String(problem) };
  }
  console.log(JSON.stringify(answer));
}
