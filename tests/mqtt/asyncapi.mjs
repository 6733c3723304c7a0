// Prints what AsyncAPI's parser has to say about the document in the file named, as JSON.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
console.log(JSON.stringify({ valid: document !== undefined, diagnostics }));
