// Reads and writes blobs with Azure's own SDK: node azure_client.mjs COMMAND ARGUMENT...
// The account is in AZURE_STORAGE_CONNECTION_STRING; the answer is JSON on stdout.
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

const service = BlobServiceClient.fromConnectionString(
  process.env.AZURE_STORAGE_CONNECTION_STRING,
  { retryOptions: { maxTries: 1 } },
);
const blob = (container, name) => service.getContainerClient(container).getBlockBlobClient(name);

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
    await service.getContainerClient(container).createIfNotExists();
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
    await service.getContainerClient(container).createIfNotExists();
    const reply = await blob(container, name).uploadFile(file, { metadata: JSON.parse(metadata) });
    return { etag: reply.etag };
  },

  async "upload-many"(container, file) {
    await service.getContainerClient(container).createIfNotExists();
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
    await service.getContainerClient(container).createIfNotExists();
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

const [command, ...parameters] = process.argv.slice(2);
if (!(command in commands)) {
  console.error(`azure_client: unknown command '${command}'`);
  process.exit(2);
}
console.log(JSON.stringify(await commands[command](...parameters)));
