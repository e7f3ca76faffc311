// Holds recorded answers against Discord's own OpenAPI description, as the npm package discord-api-spec carries it:
// the table of paths as TypeScript, the schemas as Zod.
//
// node validate.mjs DIRECTORY   where DIRECTORY has node_modules
// stdin: one JSON object a line: {method, path, status, body}; path without /api/v10 and query; body absent when empty
// stdout: {problems: [{exchange, problem}], exercised: ["GET /path/{id}"], described: ["GET /path/{id}"]}

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const directory = process.argv[2];
const build = join(directory, "node_modules/discord-api-spec/build");
const schemas = await import(pathToFileURL(join(build, "discord-api-spec.zod.js")));
const z = await import(pathToFileURL(join(directory, "node_modules/zod/mini/index.js")));

// --- the table of paths -------------------------------------------------------------------------------------------

/** The table as {template: {method: {status: type expression}}}. */
function table(source) {
  const start = source.indexOf("export interface Paths {");
  if (start < 0) throw new Error("the description has no table of paths");
  const routes = {};
  let template, method, inResponses, status;
  for (const line of source.slice(start).split("\n").slice(1)) {
    if (line === "}") break;
    let match;
    if ((match = /^  "(.+)": \{$/.exec(line))) routes[(template = match[1])] = {};
    else if ((match = /^    (get|put|post|patch|delete): \{$/.exec(line))) {
      method = match[1].toUpperCase();
      routes[template][method] = {};
      inResponses = false;
    } else if (/^      responses: \{$/.test(line)) inResponses = true;
    else if (/^      \};$/.test(line)) inResponses = false;
    else if (inResponses && (match = /^        "(\w{3})":(.*)$/.exec(line))) {
      status = match[1];
      routes[template][method][status] = match[2];
    } else if (inResponses && status && !line.trim().startsWith("/**")) routes[template][method][status] += " " + line;
  }
  return routes;
}

/** A schema for a type expression: names, null, unknown, unions, lists, parentheses and maps. */
function schema(expression) {
  const tokens = expression.replace(/;\s*$/, "").match(/\w+|\[\]|[|(){}[\]:;?,]/g) ?? [];
  let at = 0;
  const union = () => {
    if (tokens[at] === "|") at++;
    const members = [item()];
    while (tokens[at] === "|") {
      at++;
      members.push(item());
    }
    return members.length === 1 ? members[0] : z.union(members);
  };
  const item = () => {
    let one = primary();
    while (tokens[at] === "[]") {
      at++;
      one = z.array(one);
    }
    return one;
  };
  const primary = () => {
    const token = tokens[at++];
    if (token === "(") {
      const inner = union();
      if (tokens[at++] !== ")") throw new Error(`unbalanced: ${expression}`);
      return inner;
    }
    if (token === "{" && tokens[at] === "[") {
      // { [key: string]: number }
      at = tokens.indexOf("]", at) + 2;
      const value = union();
      while (tokens[at] === ";") at++;
      if (tokens[at++] !== "}") throw new Error(`unbalanced: ${expression}`);
      return z.record(z.string(), value);
    }
    if (token === "null") return z.null();
    if (token === "unknown") return z.unknown();
    if (token === "number") return z.number();
    if (token === "string") return z.string();
    if (token === "boolean") return z.boolean();
    const known = schemas[`${token}Schema`];
    if (!known) throw new Error(`no schema ${token} in: ${expression}`);
    return known;
  };
  const whole = union();
  if (at !== tokens.length) throw new Error(`not understood: ${expression}`);
  return whole;
}

// --- matching -----------------------------------------------------------------------------------------------------

const routes = table(readFileSync(join(build, "discord-api-spec.ts"), "utf8"));
const matchers = Object.keys(routes)
  // A fixed word goes before a parameter: /users/@me is not /users/{user_id}.
  .sort((one, two) => (one.match(/\{/g) ?? []).length - (two.match(/\{/g) ?? []).length)
  .map((template) => ({ template, pattern: new RegExp(`^${template.replace(/\{\w+\}/g, "[^/]+")}$`) }));

const find = (method, path) => matchers.find(({ template, pattern }) => routes[template][method] && pattern.test(path));

/** Discord writes +00:00 where the generated schemas insist on Z; both are RFC 3339, which the description asks for. */
const normalized = (body) =>
  JSON.parse(JSON.stringify(body), (_, value) =>
    typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/.test(value)
      ? value.replace("+00:00", "Z")
      : value,
  );

/** Where and why a body breaks a schema, following unions to the member that came closest. */
function reasons(issues, path = []) {
  return issues.flatMap((issue) => {
    const at = [...path, ...issue.path];
    if (issue.code === "invalid_union" && issue.errors?.length) {
      const closest = issue.errors.filter((errors) => errors.length).sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
      if (closest) return reasons(closest, at);
    }
    return [`${at.join(".") || "(body)"}: ${issue.message}`];
  });
}
const depth = (errors) => Math.max(...errors.map((issue) => issue.path.length));

/**
 * What a form error says of its fields. The description gives the problems numbers as codes; Discord's documentation
 * ("Error Messages") and its answers have words. Here the documentation wins; everything else is held to the description.
 */
const fields = z.lazy(() =>
  z.record(z.string(), z.union([z.array(z.strictObject({ code: z.string(), message: z.string() })), fields])),
);

function check({ method, path, status, body }) {
  const found = find(method, path);
  if (!found) return "Discord describes no such route";
  const responses = routes[found.template][method];
  const expression = responses[status] ?? (status >= 400 && status < 500 ? responses["4XX"] : undefined);
  if (expression === undefined) return `Discord describes no status ${status} here`;
  if (status === 204) return body === undefined ? null : "a body where none belongs";
  const { errors, ...rest } = status < 400 ? {} : (body ?? {});
  const results = [schema(expression).safeParse(normalized(status < 400 ? body : rest))];
  if (errors !== undefined) results.push(fields.safeParse(errors));
  const problems = results.flatMap((result) => (result.success ? [] : reasons(result.error.issues)));
  return problems.length ? problems.join("; ") : null;
}

const problems = [];
const exercised = new Set();
let exchange = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const recorded = JSON.parse(line);
  const problem = check(recorded);
  if (problem) problems.push({ exchange, problem });
  const found = find(recorded.method, recorded.path);
  if (found && recorded.status < 300) exercised.add(`${recorded.method} ${found.template}`);
  exchange++;
}
const described = Object.entries(routes).flatMap(([template, methods]) => Object.keys(methods).map((m) => `${m} ${template}`));
console.log(JSON.stringify({ problems, exercised: [...exercised], described }));
