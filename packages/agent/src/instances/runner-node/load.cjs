"use strict";
const { existsSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");

/** Finds "folder/file.export" below the code folder: CommonJS or ES module. */
exports.loadFunction = async (codeDir, name) => {
  const dot = name.lastIndexOf(".");
  const moduleName = dot > 0 ? name.slice(0, dot) : name;
  const exportName = dot > 0 ? name.slice(dot + 1) : "";
  const loaded = await loadModule(codeDir, moduleName);
  const found = loaded[exportName] ?? loaded.default?.[exportName];
  if (typeof found !== "function") {
    throw deterministic(new Error(`Handler '${exportName}' is missing on module '${moduleName}'`), "HandlerNotFound");
  }
  return found;
};

async function loadModule(codeDir, moduleName) {
  const path = [".js", ".cjs", ".mjs"].map((suffix) => join(codeDir, moduleName + suffix)).find(existsSync);
  if (!path) throw deterministic(new Error(`Cannot find module '${moduleName}'`), "ModuleNotFound");
  if (path.endsWith(".mjs")) return import(pathToFileURL(path).href);
  try {
    return createRequire(path)(path);
  } catch (error) {
    if (error?.code !== "ERR_REQUIRE_ESM" && error?.code !== "ERR_REQUIRE_ASYNC_MODULE") throw error;
    return import(pathToFileURL(path).href);
  }
}

/** An error that the same code meets every time, so that another attempt is useless. */
function deterministic(error, name) {
  error.name = name;
  error.isDeterministic = true;
  return error;
}
