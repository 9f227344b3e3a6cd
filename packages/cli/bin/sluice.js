#!/usr/bin/env node
// Runs the source, from any folder; packages for other machines are bundled.
import { register } from "tsx/esm/api";

register();
await import("../src/main.ts");
