// Reads YAML files as kubectl does and holds them against the Kubernetes API's schema, offline.
// Usage: node kubernetes_schema.mjs FILE...; prints {"documents": [...], "problems": [...]}.
import { readFileSync } from "node:fs";
import { CronJob } from "kubernetes-models/batch/v1";
import { Secret } from "kubernetes-models/v1";
import { parseAllDocuments } from "yaml";

const KINDS = [CronJob, Secret];

// The schema's validator looks at every field that it knows of and passes over the others, which
// the API server would refuse or drop. So we note at what it looks.
function watched(value, path, seen) {
  if (value === null || typeof value !== "object") {
    return value;
  }
  return new Proxy(value, {
    get(target, key) {
      if (typeof key === "symbol" || !Object.hasOwn(target, key)) {
        return Reflect.get(target, key);
      }
      seen.add(`${path}/${key}`);
      return watched(target[key], `${path}/${key}`, seen);
    },
  });
}

function unseen(value, path, seen) {
  if (value === null || typeof value !== "object") {
    return [];
  }
  return Object.keys(value).flatMap((key) =>
    seen.has(`${path}/${key}`)
      ? unseen(value[key], `${path}/${key}`, seen)
      : [`${path}/${key}: unknown field`]);
}

function problemsOf(document) {
  const Kind = KINDS.find((kind) => kind.is(document));
  if (Kind === undefined) {
    return [`no schema for ${document?.apiVersion} ${document?.kind}`];
  }
  const model = new Kind(document);
  const seen = new Set();
  try {
    Kind.prototype.validate.call(watched(model, "", seen));
  } catch (error) {
    return [error.message];
  }
  return unseen(model, "", seen);
}

const documents = [];
const problems = [];
for (const file of process.argv.slice(2)) {
  for (const parsed of parseAllDocuments(readFileSync(file, "utf8"))) {
    if (parsed.errors.length > 0) {
      problems.push(...parsed.errors.map((error) => error.message));
    } else {
      documents.push(parsed.toJS());
      problems.push(...problemsOf(parsed.toJS()));
    }
  }
}
console.log(JSON.stringify({ documents, problems }));
