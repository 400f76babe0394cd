// Reads and writes blobs with Azure's own SDK, as one long-lived process, for starting one takes
// longer than most answers: a line of JSON on stdin ([CONNECTION STRING, COMMAND, ARGUMENT...]) is
// answered by a line on stdout ({"value"} or {"error"}).
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  BlobServiceClient,
  ContainerSASPermissions,
  SASProtocol,
  generateAccountSASQueryParameters,
  generateBlobSASQueryParameters,
} from "@azure/storage-blob";
import fs from "node:fs";
import readline from "node:readline";

let service; // of the request that is being answered
const services = new Map();
const created = new Set();
const blob = (container, name) => service.getContainerClient(container).getBlockBlobClient(name);

// A connection of its own for each request: the server may just be closing an idle one.
function serviceOf(connection) {
  if (!services.has(connection)) {
    const options = { retryOptions: { maxTries: 1 }, keepAliveOptions: { enable: false } };
    services.set(connection, BlobServiceClient.fromConnectionString(connection, options));
  }
  return services.get(connection);
}

// Nobody removes a container.
async function create(container) {
  if (created.has(container)) return;
  await service.getContainerClient(container).createIfNotExists();
  created.add(container);
}

async function all(pages, take) {
  const items = [];
  for await (const item of pages) items.push(take(item));
  return items;
}

function sasConnection(parameters) {
  const endpoint = service.url.replace(/\/$/, "");
  return `BlobEndpoint=${endpoint};SharedAccessSignature=${parameters.toString()}`;
}

function sasTimes(seconds) {
  return {
    protocol: SASProtocol.HttpsAndHttp,
    startsOn: new Date(Date.now() - 60_000),
    expiresOn: new Date(Date.now() + 1000 * Number(seconds)),
  };
}

const commands = {
  containers: () => all(service.listContainers(), (container) => container.name),

  async create(container) {
    await create(container);
    return container;
  },

  async list(container) {
    const client = service.getContainerClient(container);
    if (!(await client.exists())) return [];
    const pages = client.listBlobsFlat({ includeMetadata: true, includeUncommitedBlobs: true });
    return all(pages, (item) => ({
      name: item.name,
      bytes: item.properties.contentLength,
      etag: item.properties.etag,
      type: item.properties.contentType,
      metadata: item.metadata ?? {},
      committed: item.properties.contentType !== undefined,
    }));
  },

  async download(container, name, file) {
    await blob(container, name).downloadToFile(file);
    const properties = await blob(container, name).getProperties();
    return {
      bytes: properties.contentLength,
      etag: properties.etag,
      type: properties.contentType,
      metadata: properties.metadata ?? {},
    };
  },

  async upload(container, name, file, metadata) {
    await create(container);
    const body = fs.readFileSync(file);
    const reply = await blob(container, name).upload(body, body.length, { metadata });
    return { etag: reply.etag };
  },

  async "upload-many"(container, file) {
    await create(container);
    const objects = JSON.parse(fs.readFileSync(file));
    const workers = Array.from({ length: 16 }, async () => {
      for (let one = objects.pop(); one; one = objects.pop()) {
        const body = Buffer.from(one.content, "latin1");
        await blob(container, one.name).upload(body, body.length, { metadata: one.metadata });
      }
    });
    await Promise.all(workers);
    return null;
  },

  async delete(container, name) {
    await blob(container, name).delete();
    return name;
  },

  async blocks(container, name) {
    const list = await blob(container, name).getBlockList("all");
    return { committed: list.committedBlocks ?? [], uncommitted: list.uncommittedBlocks ?? [] };
  },

  async stage(container, name, id, file) {
    await create(container);
    const body = fs.readFileSync(file);
    await blob(container, name).stageBlock(id, body, body.length);
    return id;
  },

  "account-sas": (permissions, resourceTypes, seconds) =>
    sasConnection(
      generateAccountSASQueryParameters(
        {
          ...sasTimes(seconds),
          permissions: AccountSASPermissions.parse(permissions),
          resourceTypes: AccountSASResourceTypes.parse(resourceTypes).toString(),
          services: AccountSASServices.parse("b").toString(),
        },
        service.credential,
      ),
    ),

  "container-sas": (container, permissions, seconds) =>
    sasConnection(
      generateBlobSASQueryParameters(
        {
          ...sasTimes(seconds),
          containerName: container,
          permissions: ContainerSASPermissions.parse(permissions),
        },
        service.credential,
      ),
    ),
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer;
  try {
    const [connection, command, ...parameters] = JSON.parse(line);
    service = serviceOf(connection);
    answer = { value: await commands[command](...parameters) };
  } catch (problem) {
    answer = { error: `${problem.code ?? ""} ${problem}`.trim() };
  }
  console.log(JSON.stringify(answer));
}
